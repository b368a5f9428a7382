"""Linear layers of the graph in int8.

int8 follows Jacob et al. 2018 (https://arxiv.org/abs/1712.05877) with one scale per output channel for the
weights and one per token for the activations:

    y[t, n] = sum_k(quantised_x[t, k] * quantised_w[k, n]) * token_scale[t] * channel_scale[n]

A scale per token, unlike one per batch, keeps a text's answer independent of the texts beside it. Two things
keep the error small. Input channels that run larger than the rest are divided by a factor that their weights
are multiplied with (SmoothQuant, Xiao et al. 2022, https://arxiv.org/abs/2211.10438), and where all tokens
have one scale, channels that run to one side are shifted to the middle (Outlier Suppression+, Wei et al.
2023, https://arxiv.org/abs/2304.09145). And what comes out of GELU, which is hardly ever negative, gets a
zero point near the lower end, so that few levels are wasted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights
    from bertriton_export.network.graph_builder import GraphBuilder

# int8 weights reach this far on both sides of zero. Without VNNI, x86 adds the products of two inputs in 16
# bits. With activations of up to 255, they fit if two weights of one sign add up to 128 at most; 127 leaves
# room for rounding.
WEIGHT_LEVELS: Final = 127

# Activations are unsigned, the form that x86 multiplies fastest with signed weights.
ACTIVATION_LEVELS: Final = 255
SIGNED_ZERO_POINT: Final = 128
SIGNED_LEVELS: Final = 127
# The largest |value| of a token of zeros is taken for this, since a scale must not be zero.
SMALLEST_MAXIMUM: Final = 1e-6

# What an activation function never goes below.
ACTIVATION_TO_MINIMUM: Final = {"gelu": -0.1701, "gelu_tanh": -0.1701, "relu": 0.0, "silu": -0.2785}
# Levels for what lies between that minimum and zero. Fewer would leave more to the tokens with large values,
# but make those coarse whose largest value is small.
LEVELS_BELOW_ZERO: Final = 24


# Where all tokens have one scale, it reaches so far beyond the largest value that real text showed.
STATIC_HEADROOM: Final = 1.1


@dataclass(frozen=True)
class Int8Options:
    """How linear layers are quantised."""

    # Layer -> factor per input channel, for those that are smoothed; layers that share an input share it.
    smoothing: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    # Layer -> largest |value| of its smoothed input on real text, for those with one scale for all tokens.
    maxima: Mapping[str, float] = field(default_factory=dict)
    # Layer -> the middle of each input channel, for those of one scale that read what LayerNorm gives.
    shifts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    # Layer -> mean of each input channel on real text, to put right what rounded weights do to it.
    means: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Norm:
    """A LayerNorm in the graph: what it reads, and its weight and bias [channels]."""

    source: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: float


@dataclass(frozen=True)
class QuantisedWeight:
    """A linear layer's weight in int8."""

    values: NDArray[np.int8]  # [inputs, outputs]
    scales: NDArray[np.floating]  # [outputs]


def quantise_weight(
    weight: NDArray[np.float32], scale_dtype: type[np.floating] = np.float32, *, for_cpus: bool = False
) -> QuantisedWeight:
    """Quantise a weight symmetrically, with one scale per output channel.

    Args:
        weight: [outputs, inputs].
        scale_dtype: of the scales.
        for_cpus: whether every CPU must multiply it exactly, which takes a fifth of the levels.
    """
    largest = _largest_pairs(weight) if for_cpus else np.abs(weight).max(axis=1)
    maxima = np.maximum(largest, SMALLEST_MAXIMUM)
    smallest_scale = np.finfo(scale_dtype).smallest_normal  # below it, scales would be rounded too
    scales = np.maximum(maxima / WEIGHT_LEVELS, smallest_scale).astype(scale_dtype)
    values = np.rint(weight / scales[:, None].astype(np.float32)).astype(np.int8)
    return QuantisedWeight(np.ascontiguousarray(values.T), scales)


def _largest_pairs(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per output, the largest sum of the weights of one sign in inputs 0 and 1, 2 and 3, and so on."""
    even, odd = weight[:, 0::2], weight[:, 1::2]
    alone = np.abs(weight).max(axis=1)
    pairs = np.abs(even[:, : odd.shape[1]] + odd)  # where signs differ, one of them is larger than the sum
    return np.asarray(np.maximum(alone, pairs.max(axis=1, initial=0)))


@dataclass(frozen=True)
class _Tokens:
    """Quantised activations."""

    values: str  # of the graph, UINT8 [T, inputs]
    zero_point: int
    scales: str = ""  # of the graph, FLOAT [T, 1]; none: all tokens have the same
    scale: float = 1.0  # of all tokens


class Int8Linear:
    """Linear layers in int8; what several of them read is quantised once.

    Args:
        g: the graph under construction.
        weights: of the checkpoint.
        options: how to quantise.
        minima: layer -> what its input never goes below, where that is known.
    """

    def __init__(
        self, g: GraphBuilder, weights: Weights, options: Int8Options, minima: Mapping[str, float]
    ) -> None:
        self._g = g
        self._weights = weights
        self._options = options
        self._minima = minima
        self._hidden_to_tokens: dict[str, _Tokens] = {}
        self._hidden_to_norm: dict[str, Norm] = {}

    def read_norm(self, hidden: str, norm: Norm) -> None:
        """Learn of which LayerNorm a value of the graph comes."""
        self._hidden_to_norm[hidden] = norm

    def mean_error(self, name: str) -> NDArray[np.float32]:
        """What rounded weights take from the layer on average, [outputs]; a product lacks it."""
        if name not in self._options.means:
            return np.zeros(len(self._weights[f"{name}.weight"]), np.float32)
        mean = self._options.means[name] - self._options.shifts.get(name, np.float32(0))
        factor = self._options.smoothing.get(name, np.float32(1))
        rounded = self._weight(name)
        lost = self._weights[f"{name}.weight"] @ mean
        return lost - ((mean / factor) @ rounded.values) * rounded.scales

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        tokens = self._tokens(name, hidden)
        product = self._multiplied(name, tokens)
        return self._g.op("Mul", product, tokens.scales) if tokens.scales else product

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias."""
        g, tokens = self._g, self._tokens(name, hidden)
        bias = bias + self.mean_error(name)
        if name in self._options.shifts:
            bias += self._weights[f"{name}.weight"] @ self._options.shifts[name]
        if not tokens.scales:
            return self._multiplied(name, tokens, g.weight(f"{name}.bias", bias))
        # As a row: ONNX Runtime fuses a bias of rank 1 with the GELU behind it, by a slower kernel.
        return g.op("Add", self.product(name, hidden), g.weight(f"{name}.bias", bias[None, :]))

    def _multiplied(self, name: str, tokens: _Tokens, *bias: str) -> str:
        g, weight = self._g, self._weight(name)
        zero_points = np.zeros(len(weight.scales), np.int8)
        return g.op(
            "MatMulIntegerToFloat",
            tokens.values,
            g.weight_for_one(f"{name}.weight.int8", weight.values),
            g.constant(tokens.scale, np.float32),
            g.weight(f"{name}.weight.scale", weight.scales),
            g.constant(tokens.zero_point, np.uint8),
            g.weight_for_one(f"{name}.weight.zero_point", zero_points),
            *bias,
        )

    def _weight(self, name: str) -> QuantisedWeight:
        weight = self._weights[f"{name}.weight"] * self._options.smoothing.get(name, np.float32(1))
        return quantise_weight(weight, for_cpus=True)

    def _tokens(self, name: str, hidden: str) -> _Tokens:
        """What the layer reads, quantised; the first layer to read it decides for all."""
        if hidden not in self._hidden_to_tokens:
            self._hidden_to_tokens[hidden] = self._quantised(name, hidden)
        return self._hidden_to_tokens[hidden]

    def _quantised(self, name: str, hidden: str) -> _Tokens:
        if name in self._minima:
            return self._from_minimum(name, hidden)
        smooth = self._smoothed(name, hidden)
        if name in self._options.maxima:
            return self._by_one_scale(smooth, self._options.maxima[name] * STATIC_HEADROOM)
        return self._signed(smooth)

    def _smoothed(self, name: str, hidden: str) -> str:
        if name not in self._options.smoothing:
            return hidden
        if name in self._options.shifts:
            return self._centred(name, self._hidden_to_norm[hidden])
        inverse = self._g.weight(f"{name}.inverse_smoothing", 1 / self._options.smoothing[name])
        return self._g.op("Mul", hidden, inverse)

    def _centred(self, name: str, norm: Norm) -> str:
        """The LayerNorm once more, with another weight and bias, which costs what smoothing alone would."""
        g, factor = self._g, self._options.smoothing[name]
        weight = g.weight(f"{name}.norm.weight", norm.weight / factor)
        bias = g.weight(f"{name}.norm.bias", (norm.bias - self._options.shifts[name]) / factor)
        return g.op("LayerNormalization", norm.source, weight, bias, axis=-1, epsilon=norm.epsilon)

    def _by_one_scale(self, hidden: str, largest: float) -> _Tokens:
        """Tokens on both sides of zero; what goes beyond the largest value is taken for it."""
        g, scale = self._g, max(largest, SMALLEST_MAXIMUM) / SIGNED_LEVELS
        zero_point = g.constant(SIGNED_ZERO_POINT, np.uint8)
        values = g.op("QuantizeLinear", hidden, g.constant(scale, np.float32), zero_point)
        return _Tokens(values, SIGNED_ZERO_POINT, scale=scale)

    def _signed(self, hidden: str) -> _Tokens:
        """Tokens on both sides of zero."""
        maxima = self._g.op("ReduceMax", self._g.op("Abs", hidden), axes=[1], keepdims=0)  # (T)
        return self._quantise(
            hidden, maxima, SMALLEST_MAXIMUM / SIGNED_LEVELS, SIGNED_LEVELS, SIGNED_ZERO_POINT
        )

    def _from_minimum(self, name: str, hidden: str) -> _Tokens:
        """Tokens that never go below a known minimum; the smallest scale still reaches it."""
        minimum = self._minima[name]
        below = LEVELS_BELOW_ZERO if minimum < 0 else 0
        above = ACTIVATION_LEVELS - below
        maxima = self._g.op("ReduceMax", hidden, axes=[1], keepdims=0)  # (T)
        smallest_scale = -minimum / below if below else SMALLEST_MAXIMUM / above
        return self._quantise(hidden, maxima, smallest_scale, above, below)

    def _quantise(
        self, hidden: str, maxima: str, smallest_scale: float, levels: int, zero_point: int
    ) -> _Tokens:
        g = self._g
        maxima = g.op("Max", maxima, g.constant(smallest_scale * levels, np.float32))
        scales = g.op("Mul", maxima, g.constant(1 / levels, np.float32))  # (T)
        zero_points = g.op("Expand", g.constant(zero_point, np.uint8), g.op("Shape", scales))  # (T)
        # With an axis, this one operator divides, rounds and saturates every token by its own scale.
        values = g.op("QuantizeLinear", hidden, scales, zero_points, axis=0)
        return _Tokens(values, zero_point, g.op("Unsqueeze", scales, g.constant([1])))
