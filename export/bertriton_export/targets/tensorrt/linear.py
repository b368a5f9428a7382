"""Linear layers of the TensorRT graph: in fp16 or fp32, or in int8 between explicit Q/DQ pairs.

TensorRT multiplies in int8 where both factors come out of a DequantizeLinear: weights with one scale per
output channel, activations with one per tensor, zero points all 0
(https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-explicit-quantization.html).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.network import SIGNED_LEVELS, FloatLinear, quantise_weight, to_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights
    from bertriton_export.network import Float, GraphBuilder, Int8Options


class PaddedLinear(FloatLinear):
    """Linear layers in fp16 or fp32, on activations [rows, tokens, inputs], which are too many for Gemm."""

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias."""
        bias_name = f"{name}.bias"
        bias_value = self._g.weight(bias_name, to_float(bias_name, bias, self._dtype))
        return self._g.op("Add", self.product(name, hidden), bias_value)


class QdqLinear(PaddedLinear):
    """The same in int8; what several layers read is quantised once.

    Args:
        g: the graph under construction, of opset 19 where the precision is fp16.
        weights: of the checkpoint.
        dtype: of activations and scales.
        options: smoothing, and the largest inputs seen, of every layer.
    """

    def __init__(self, g: GraphBuilder, weights: Weights, dtype: Float, options: Int8Options) -> None:
        super().__init__(g, weights, dtype)
        self._options = options
        self._hidden_to_quantised: dict[str, str] = {}

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        g, factor = self._g, self._options.smoothing.get(name, np.float32(1))
        weight = quantise_weight(self._weights[f"{name}.weight"] * factor, scale_dtype=self._dtype)
        values = g.weight(f"{name}.weight.int8", weight.values)
        scales = g.weight(f"{name}.weight.scale", weight.scales)
        return g.op("MatMul", self._quantised(name, hidden), g.op("DequantizeLinear", values, scales, axis=1))

    def _quantised(self, name: str, hidden: str) -> str:
        """What the layer reads, rounded to int8; the first layer to read it decides for all."""
        if hidden not in self._hidden_to_quantised:
            g = self._g
            smooth = hidden
            if name in self._options.smoothing:
                inverse = f"{name}.inverse_smoothing"
                factor = to_float(inverse, np.reciprocal(self._options.smoothing[name]), self._dtype)
                smooth = g.op("Mul", hidden, g.weight(inverse, factor))
            smallest = float(np.finfo(self._dtype).smallest_normal)
            scale = g.constant(max(self._options.maxima[name] / SIGNED_LEVELS, smallest), self._dtype)
            zero_point = g.constant(0, np.int8)
            values = g.op("QuantizeLinear", smooth, scale, zero_point)
            self._hidden_to_quantised[hidden] = g.op("DequantizeLinear", values, scale, zero_point)
        return self._hidden_to_quantised[hidden]
