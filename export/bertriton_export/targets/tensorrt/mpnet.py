"""MPNet as an ONNX graph that TensorRT builds an engine from (see `graph` for the rest)."""

from __future__ import annotations

from bertriton_export.network import relative_bias
from bertriton_export.targets.tensorrt.graph import TensorrtGraph


class MPNetTensorrtGraph(TensorrtGraph):
    """The one block that differs from BERT's."""

    def _mask(self, types: str, positions: str) -> str:
        """Padding's, and what the distance of two tokens adds to their score, [R, N, L, L]."""
        g, mask = self._g, super()._mask(types, positions)
        with g.scope("bias"):
            bias = relative_bias(g, self._config, self._weights, self._dtype)  # (1, N, P, P)
            length = g.op("Slice", g.op("Shape", positions), g.constant([1]), g.constant([2]))
            corner = g.op("Concat", length, length, axis=0)
            part = g.op("Slice", bias, g.constant([0, 0]), corner, g.constant([2, 3]))
            return g.op("Add", part, mask)
