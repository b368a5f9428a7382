"""Linear layers of the graph in float32, and what any precision of them must offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Weights
    from bertriton_export.graph_builder import GraphBuilder


class Linear(Protocol):
    """How the graph multiplies activations [tokens, inputs] with a linear layer's weight."""

    def product(self, name: str, hidden: str) -> str:
        """The layer `name` of the checkpoint without its bias; takes and gives values of the graph."""

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias [outputs]."""


class Fp32Linear:
    """Linear layers in float32."""

    def __init__(self, g: GraphBuilder, weights: Weights) -> None:
        self._g = g
        self._weights = weights

    def product(self, name: str, hidden: str) -> str:
        """The layer without its bias."""
        return self._g.op("MatMul", hidden, self._kernel(name))

    def with_bias(self, name: str, hidden: str, bias: NDArray[np.float32]) -> str:
        """The layer with a bias."""
        return self._g.op("Gemm", hidden, self._kernel(name), self._g.weight(f"{name}.bias", bias))

    def _kernel(self, name: str) -> str:
        """The weight as ONNX multiplies it: inputs first."""
        return self._g.weight(f"{name}.weight", self._weights[f"{name}.weight"].T)
