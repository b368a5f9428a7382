"""Linear layers of the graph in floating point, and what any precision of them must offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from bertriton_export.errors import UnsupportedModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights
    from bertriton_export.network.graph_builder import GraphBuilder

Float: TypeAlias = "type[np.float32 | np.float16]"


class Linear(Protocol):
    """How the graph multiplies activations [tokens, inputs] with a linear layer's weight."""

    def product(self, name: str, hidden: str) -> str:
        """The layer `name` of the checkpoint without its bias; takes and gives values of the graph."""

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias [outputs]."""


class FloatLinear:
    """Linear layers in fp32 or fp16."""

    def __init__(self, g: GraphBuilder, weights: Weights, dtype: Float) -> None:
        self._g = g
        self._weights = weights
        self._dtype = dtype

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        return self._g.op("MatMul", hidden, self._kernel(name))

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias."""
        kernel, bias_name = self._kernel(name), f"{name}.bias"
        bias_value = self._g.weight(bias_name, to_float(bias_name, bias, self._dtype))
        return self._g.op("Gemm", hidden, kernel, bias_value)

    def _kernel(self, name: str) -> str:
        """The weight as ONNX multiplies it: inputs first."""
        name = f"{name}.weight"
        return self._g.weight(name, to_float(name, self._weights[name].T, self._dtype))


def to_float(name: str, array: NDArray[np.float32], dtype: Float) -> NDArray[np.float32 | np.float16]:
    """A weight in the precision that the graph has it in.

    Raises:
        UnsupportedModelError: it holds a value that fp16 has no number for.
    """
    if dtype is np.float32:
        return array.astype(dtype, copy=False)
    largest, limit = float(np.abs(array).max()), float(np.finfo(dtype).max)
    if largest > limit:
        raise UnsupportedModelError(
            f"tensor {name!r}: holds {largest:.4g}, and {np.dtype(dtype).name} ends at {limit:.4g}; "
            "export with --precision fp32"
        )
    return array.astype(dtype, copy=False)
