"""How much larger some input channels of linear layers run than others, seen on real text.

SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438, equation 4) divides channel j of a layer's
input by

    max |x_j| ** strength / max |w_j| ** (1 - strength)

and multiplies its weights with the same, which changes nothing but how well both fit into eight bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from bertriton_export.network import readers_of_one_input
from bertriton_export.verification import open_session, packed_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Weights

STRENGTH: Final = 0.5
# Of layers with one scale for all tokens, which suffer more from unequal channels. On the embedded checkpoint
# what is best changes with the texts, so the best of these is taken.
STATIC_STRENGTHS: Final = (0.65, 0.75, 0.85)
SMALLEST_FACTOR: Final = 1e-4


def input_maxima(
    fp32_file: Path, linears: Iterable[str], encodings: Sequence[Encoding]
) -> dict[str, NDArray[np.float32]]:
    """The largest |value| of every input channel of linear layers over texts, layer -> [inputs].

    The layers are found in the fp32 graph by their weight's name. Its last layer has queries of first tokens
    alone, but keys and values of all: those count for queries too, since int8 may quantise for all at once.
    """
    model = onnx.load(fp32_file, load_external_data=False)
    name_to_inputs = _inputs_of(model, set(linears))
    outputs = {hidden: f"{hidden}/maximum" for inputs in name_to_inputs.values() for hidden in inputs}
    for hidden, output in outputs.items():
        model.graph.node.append(helper.make_node("Abs", [hidden], [f"{output}/abs"]))
        model.graph.node.append(
            helper.make_node("ReduceMax", [f"{output}/abs"], [output], axes=[0], keepdims=0)
        )
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [None]))
    observed = fp32_file.with_name("observed.onnx")  # its weights are found beside it
    onnx.save_model(model, observed)
    maxima = open_session(observed).run(list(outputs.values()), packed_inputs(encodings))
    hidden_to_maxima = dict(zip(outputs, maxima, strict=True))
    found = {
        name: np.max([hidden_to_maxima[hidden] for hidden in inputs], axis=0)
        for name, inputs in name_to_inputs.items()
    }
    return {name: np.max([found[other] for other in readers_of_one_input(name)], axis=0) for name in found}


def smoothing_factors(
    weights: Weights, maxima: Mapping[str, NDArray[np.float32]], strength: float = STRENGTH
) -> dict[str, NDArray[np.float32]]:
    """A factor for every input channel of every layer; query, key and value read one input, so share it."""
    factors = {}
    for name, maximum in maxima.items():
        weight_maximum = np.max(
            [_largest_weights(weights, other) for other in readers_of_one_input(name)], axis=0
        )
        factor = maximum**strength / np.maximum(weight_maximum, SMALLEST_FACTOR) ** (1 - strength)
        factors[name] = np.maximum(factor, SMALLEST_FACTOR).astype(np.float32)
    return factors


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
