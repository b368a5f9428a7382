"""Rotary positions: queries and keys turned by angles that grow with the token's position.

Su et al. 2021, https://arxiv.org/abs/2104.09864.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from bertriton_export.network.linear import to_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import BertConfig
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float


def rotary_tables(config: BertConfig, theta: float) -> tuple[NDArray[np.float32], ...]:
    """Cosines and sines [positions, head_size / 2] of the angles that heads are turned by, from their base.

    In single precision from the first step on, as Transformers computes them: far from the start of a text,
    its angles differ from exact ones in the fourth digit.
    """
    size = config.head_size
    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    frequencies = np.float32(1) / np.power(np.float32(theta), exponents)
    angles = np.arange(config.max_position_embeddings, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotary_positions(g: GraphBuilder, marked_positions: str) -> str:
    """The position of each token, as `Rotary` takes them, INT64 [T, 1]."""
    places = g.op("Max", marked_positions, g.constant(0, np.int32))  # a mark stands at a position 0
    return g.op("Reshape", g.op("Cast", places, to=TensorProto.INT64), g.constant([-1, 1]))


class Rotary:
    """One base's tables of angles in the graph, and the position of each token.

    Args:
        g: the graph under construction.
        positions: of the graph, see `rotary_positions`.
        tables: see `rotary_tables`.
        name: that their names begin with.
        dtype: of queries and keys.
    """

    def __init__(
        self,
        g: GraphBuilder,
        positions: str,
        tables: tuple[NDArray[np.float32], ...],
        name: str,
        dtype: Float,
    ) -> None:
        self._g = g
        self._positions = positions
        names = (f"{name}.cosines", f"{name}.sines")
        self._tables = [
            g.weight(part, to_float(part, table, dtype)) for part, table in zip(names, tables, strict=True)
        ]

    def turned(self, part: str) -> str:
        """Queries or keys [T, H], each head's pairs turned by the token's angles.

        To the operator each token is a text of its own, so that there may be any number of them.
        """
        g = self._g
        alone = g.op("Unsqueeze", part, g.constant([1]))  # (T, 1, H)
        turned = g.op("RotaryEmbedding", alone, self._positions, *self._tables)
        return g.op("Squeeze", turned, g.constant([1]))
