"""How far the input channels of linear layers run, seen on real text, and how that is evened out.

SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438, equation 4) divides channel j of a layer's
input by

    max |x_j| ** strength / max |w_j| ** (1 - strength)

and multiplies its weights with the same, which changes nothing but how well both fit into eight bits. Where
all tokens have one scale, the middle of each channel's range is subtracted first (Outlier Suppression+, Wei
et al. 2023, https://arxiv.org/abs/2304.09145): most channels that run large run to one side.

Rounded weights make every output a little too large or too small on average, by their error times the mean of
the input (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2): so the means are observed too.

The largest value of one sample is a matter of luck. So texts are observed in several samples, and what a
channel comes to is the mean of their largest values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from bertriton_export.network import Int8Options, is_after_activation, readers_of_one_input
from bertriton_export.verification import open_session, packed_inputs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Weights

STRENGTH: Final = 0.5
# Of queries, keys and values. The first token of a text runs largest, and in the middle layers gets up to
# half of all attention, so that what rounding makes of its value is in every token's context.
ATTENTION_STRENGTH: Final = 0.9
ATTENTION_LINEARS: Final = (".query", ".key", ".value")
# Of layers with one scale for all tokens, which suffer more from unequal channels.
STATIC_STRENGTH: Final = 0.8
SMALLEST_FACTOR: Final = 1e-4

SAMPLES: Final = 8
_OPERATORS: Final = ("ReduceMin", "ReduceMax", "ReduceMean")  # in the order of an InputRange


@dataclass(frozen=True)
class InputRange:
    """How far each input channel of a linear layer goes, in each of S samples of texts."""

    low: NDArray[np.float32]  # [S, inputs]
    high: NDArray[np.float32]  # [S, inputs]
    mean: NDArray[np.float32]  # [S, inputs]

    @property
    def middle(self) -> NDArray[np.float32]:
        """Of each channel, [inputs]."""
        return np.asarray((self.low.mean(axis=0) + self.high.mean(axis=0)) / 2)

    def maxima(self, middle: NDArray[np.float32] | float = 0) -> NDArray[np.float32]:
        """The largest distance of each channel from the middle in each sample, [S, inputs]."""
        return np.asarray(np.maximum(middle - self.low, self.high - middle))

    def joined(self, *others: InputRange) -> InputRange:
        """The range of this one and others, with the mean of this one."""
        ranges = (self, *others)
        low, high = [one.low for one in ranges], [one.high for one in ranges]
        return InputRange(np.min(low, axis=0), np.max(high, axis=0), self.mean)


def input_ranges(
    fp32_file: Path, linears: Iterable[str], encodings: Sequence[Encoding]
) -> dict[str, InputRange]:
    """How far the inputs of linear layers go over texts, layer -> range.

    The layers are found in the fp32 graph by their weight's name. Its last layer has queries of first tokens
    alone, but keys and values of all: those count for queries too, since int8 may quantise for all at once.
    """
    model = onnx.load(fp32_file, load_external_data=False)
    name_to_inputs = _inputs_of(model, set(linears))
    values = sorted({value for inputs in name_to_inputs.values() for value in inputs})
    outputs = [_reduced(model, value, operator) for value in values for operator in _OPERATORS]
    observed = fp32_file.with_name("observed.onnx")  # its weights are found beside it
    onnx.save_model(model, observed)
    session = open_session(observed)
    samples = [encodings[start::SAMPLES] for start in range(min(SAMPLES, len(encodings)))]
    runs = [session.run(outputs, packed_inputs(sample)) for sample in samples]
    found_values = [np.stack(found) for found in zip(*runs, strict=True)]  # each [S, inputs]
    parts = (found_values[start :: len(_OPERATORS)] for start in range(len(_OPERATORS)))
    value_to_range = dict(zip(values, map(InputRange, *parts), strict=True))
    found = {
        name: InputRange.joined(*(value_to_range[value] for value in inputs))
        for name, inputs in name_to_inputs.items()
    }
    return {
        name: found[name].joined(*(found[other] for other in readers_of_one_input(name))) for name in found
    }


def _strength(name: str) -> float:
    """Of a layer with one scale a token."""
    return ATTENTION_STRENGTH if name.endswith(ATTENTION_LINEARS) else STRENGTH


def smoothing_factors(
    weights: Weights, maxima: Mapping[str, NDArray[np.float32]], strengths: Mapping[str, float]
) -> dict[str, NDArray[np.float32]]:
    """A factor for every input channel of the layers that have a strength.

    Query, key and value read one input, so they share it.
    """
    factors = {}
    for name, strength in strengths.items():
        maximum, readers = maxima[name], readers_of_one_input(name)
        weight_maximum = np.max([_largest_weights(weights, other) for other in readers], axis=0)
        factor = maximum**strength / np.maximum(weight_maximum, SMALLEST_FACTOR) ** (1 - strength)
        factors[name] = np.maximum(factor, SMALLEST_FACTOR).astype(np.float32)
    return factors


def calibrated(
    weights: Weights,
    ranges: Mapping[str, InputRange],
    static_linears: Collection[str],
    *,
    is_shifted: bool,
) -> Int8Options:
    """How layers are quantised whose inputs go as far as seen.

    Args:
        weights: of the checkpoint.
        ranges: layer -> how far its inputs go.
        static_linears: layers with one scale for all tokens.
        is_shifted: whether those are shifted, for which they must read what LayerNorm gives.
    """
    static = {name: found for name, found in ranges.items() if name in static_linears}
    shifts = {name: found.middle for name, found in static.items()} if is_shifted else {}
    maxima = {name: found.maxima(shifts.get(name, 0)) for name, found in ranges.items()}  # [S, inputs]
    steady = {name: maximum.mean(axis=0) for name, maximum in maxima.items()}
    strengths = {
        name: STATIC_STRENGTH if name in static else _strength(name)
        for name in steady
        if not is_after_activation(name)
    }
    factors = smoothing_factors(weights, steady, strengths)
    largest = {name: float((maxima[name] / factors.get(name, 1)).max()) for name in static}
    means = {name: found.mean.mean(axis=0) for name, found in ranges.items()}
    return Int8Options(factors, largest, shifts, means)


def _reduced(model: onnx.ModelProto, value: str, operator: str) -> str:
    """Make the least, largest or mean value of each channel an output of the graph."""
    output = f"{value}/{operator}"
    model.graph.node.append(helper.make_node(operator, [value], [output], axes=[0], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [None]))
    return output


def _inputs_of(model: onnx.ModelProto, linears: set[str]) -> dict[str, list[str]]:
    """What each linear layer reads; several things where layers of the network share it."""
    name_to_inputs: dict[str, list[str]] = {}
    for node in model.graph.node:
        name = node.input[1].removesuffix(".weight") if len(node.input) > 1 else ""
        if name in linears:
            name_to_inputs.setdefault(name, []).append(node.input[0])
    return name_to_inputs


def _largest_weights(weights: Weights, name: str) -> NDArray[np.float32]:
    """Per input channel, over all outputs."""
    return np.asarray(np.abs(weights[f"{name}.weight"]).max(axis=0))
