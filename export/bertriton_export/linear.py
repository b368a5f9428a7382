"""Linear layers of the graph, in fp32 or int8.

int8 follows Jacob et al. 2018 (https://arxiv.org/abs/1712.05877) with one scale per output channel for the
weights and one per token for the activations:

    y[t, n] = sum_k(quantised_x[t, k] * quantised_w[k, n]) * token_scale[t] * channel_scale[n]

A scale per token, unlike one per batch, keeps a text's answer independent of the texts beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights
    from bertriton_export.graph_builder import GraphBuilder

# int8 weights reach this far on both sides of zero.
FULL_WEIGHT_LEVELS: Final = 127
# Without VNNI, x86 adds pairs of products in 16 bits, which seven bits of weight cannot overflow.
REDUCED_WEIGHT_LEVELS: Final = 63

# Activations are unsigned, the form that x86 multiplies fastest with signed weights.
ACTIVATION_LEVELS: Final = 127
ACTIVATION_ZERO_POINT: Final = 128
# The largest |value| of a token of zeros is taken for this, since a scale must not be zero.
SMALLEST_MAXIMUM: Final = 1e-6


class Linear(Protocol):
    """How the graph multiplies activations [tokens, inputs] with a linear layer's weight."""

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""

    def with_bias(self, name: str, hidden: str, bias: str) -> str:
        """The layer with a bias, which is a value of the graph."""


class Fp32Linear:
    """Linear layers in float32."""

    def __init__(self, g: GraphBuilder, weights: Weights) -> None:
        self._g = g
        self._weights = weights

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        return self._g.op("MatMul", hidden, self._kernel(name))

    def with_bias(self, name: str, hidden: str, bias: str) -> str:
        """The layer with a bias, which is a value of the graph."""
        return self._g.op("Gemm", hidden, self._kernel(name), bias)

    def _kernel(self, name: str) -> str:
        """The weight as ONNX multiplies it: inputs first."""
        return self._g.weight(f"{name}.weight", self._weights[f"{name}.weight"].T)


class Int8Linear:
    """Linear layers in int8; what several of them read is quantised once.

    Args:
        g: the graph under construction.
        weights: of the checkpoint.
        weight_levels: FULL_WEIGHT_LEVELS, or REDUCED_WEIGHT_LEVELS for CPUs without VNNI.
    """

    def __init__(self, g: GraphBuilder, weights: Weights, weight_levels: int = FULL_WEIGHT_LEVELS) -> None:
        self._g = g
        self._weights = weights
        self._weight_levels = weight_levels
        self._hidden_to_quantised: dict[str, _QuantisedTokens] = {}
        self._zero_points = ""

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        g = self._g
        tokens = self._quantised_tokens(hidden)
        weight = quantise_weight(self._weights[f"{name}.weight"], self._weight_levels)
        in_channel_scale = g.op(
            "MatMulIntegerToFloat",
            tokens.values,
            g.weight(f"{name}.weight.int8", weight.values),
            g.constant(1.0, np.float32),
            g.weight(f"{name}.weight.scale", weight.scales),
            g.constant(ACTIVATION_ZERO_POINT, np.uint8),
            g.weight(f"{name}.weight.zero_point", np.zeros(len(weight.scales), np.int8)),
        )
        return g.op("Mul", in_channel_scale, tokens.scales)

    def with_bias(self, name: str, hidden: str, bias: str) -> str:
        """The layer with a bias, which is a value of the graph."""
        return self._g.op("Add", self.product(name, hidden), bias)

    def _quantised_tokens(self, hidden: str) -> _QuantisedTokens:
        if hidden not in self._hidden_to_quantised:
            self._hidden_to_quantised[hidden] = self._quantise(hidden)
        return self._hidden_to_quantised[hidden]

    def _quantise(self, hidden: str) -> _QuantisedTokens:
        g = self._g
        maxima = g.op("ReduceMax", g.op("Abs", hidden), axes=[1], keepdims=0)  # (T)
        maxima = g.op("Max", maxima, g.constant(SMALLEST_MAXIMUM, np.float32))
        scales = g.op("Mul", maxima, g.constant(1 / ACTIVATION_LEVELS, np.float32))
        if not self._zero_points:
            zero_point = g.constant(ACTIVATION_ZERO_POINT, np.uint8)
            self._zero_points = g.op("Expand", zero_point, g.op("Shape", scales))  # (T)
        # With an axis, this one operator divides, rounds and saturates every token by its own scale.
        values = g.op("QuantizeLinear", hidden, scales, self._zero_points, axis=0)
        return _QuantisedTokens(values, g.op("Unsqueeze", scales, g.constant([1])))


@dataclass(frozen=True)
class _QuantisedTokens:
    """Activations in int8: names of graph values."""

    values: str  # UINT8 [T, inputs]
    scales: str  # FLOAT [T, 1]


@dataclass(frozen=True)
class QuantisedWeight:
    """A linear layer's weight in int8."""

    values: NDArray[np.int8]  # [inputs, outputs]
    scales: NDArray[np.float32]  # [outputs]


def quantise_weight(weight: NDArray[np.float32], levels: int) -> QuantisedWeight:
    """Quantise a weight [outputs, inputs] symmetrically, with one scale per output channel."""
    maxima = np.maximum(np.abs(weight).max(axis=1), SMALLEST_MAXIMUM)
    scales = (maxima / levels).astype(np.float32)
    values = np.rint(weight / scales[:, None]).astype(np.int8)
    return QuantisedWeight(np.ascontiguousarray(values.T), scales)
