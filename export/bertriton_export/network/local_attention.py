"""Attention of tokens to near ones alone, without the scores of all pairs.

A window is cut into blocks at least as long as the reach, so that a token's neighbours are in its own block,
the one before or the one behind. Each block is attended to by itself: L tokens take 3 L scores of a block's
length in place of L x L, in time and memory alike. What is too far away within those three gets a large
negative number added to its score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows

# Added to the score of what is out of reach: far below any score, and finite in fp16 with a score added.
FAR_SCORE: Final = -30_000.0
# Shorter ones would be many small products.
_SMALLEST_BLOCK: Final = 16


class LocalAttention:
    """Attention within a reach, for one window after the other.

    Args:
        g: the graph under construction.
        reach: how far away a token's neighbours may be, on each side.
        dtype: of queries, keys, values and contexts.
        hidden_size: their width.
        attend: emits attention of queries (n, L, H) to keys and values (n, L', H); a fourth value is added to
            the scores, and has one or n texts and one head.
    """

    def __init__(
        self, g: GraphBuilder, reach: int, dtype: Float, hidden_size: int, attend: Callable[..., str]
    ) -> None:
        self._g = g
        self._reach = reach
        self._block = max(reach, _SMALLEST_BLOCK)
        self._hidden_size = hidden_size
        self._attend = attend
        self._element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        with g.scope("band"):
            self._band = g.weight(f"band.{reach}", _band(3 * self._block, reach, dtype))

    def context(self, query: str, key: str, value: str) -> str:
        """Contexts (1, L, H) of a window's tokens, from their queries, keys and values (1, L, H)."""
        g = self._g
        length = g.op("Shape", key, start=1, end=2)  # (1)
        of_window = [helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])]

        def of_long() -> list[str]:
            return g.branch(
                g.op("Squeeze", g.op("Less", length, g.constant([3 * self._block]))),
                lambda: [self._attend(query, key, value, self._part((0, length), (0, length)))],
                lambda: [self._in_blocks(query, key, value, length)],
                of_window,
            )

        is_short = g.op("Squeeze", g.op("LessOrEqual", length, g.constant([self._reach + 1])))
        return g.branch(is_short, lambda: [self._attend(query, key, value)], of_long, of_window)[0]

    def context_of_first(self, query: str, key: str, value: str) -> str:
        """The context (1, 1, H) of a window's first token, which needs no others than those it reaches."""
        near = [self._tokens(part, 0, self._reach + 1) for part in (key, value)]
        return self._attend(query, *near)

    def _in_blocks(self, query: str, key: str, value: str, length: str) -> str:
        """The first block, all those with a whole one on each side, and the rest."""
        g, block = self._g, self._block
        blocks = g.op("Div", length, g.constant([block]))
        rest = g.op("Mul", g.op("Sub", blocks, g.constant([1])), g.constant([block]))
        before_rest = g.op("Sub", rest, g.constant([block]))
        end = g.op("Mul", blocks, g.constant([block]))

        first = self._attend(
            self._tokens(query, 0, block),
            *(self._tokens(part, 0, 2 * block) for part in (key, value)),
            self._part((0, block), (0, 2 * block)),
        )

        def threes(part: str) -> str:
            """Each block of those in between with the ones before and behind it, (n, 3 * block, H)."""
            bounds = ((0, before_rest), (block, rest), (2 * block, end))
            return g.op("Concat", *(self._blocks(part, *bound) for bound in bounds), axis=1)

        between = self._attend(
            self._blocks(query, block, rest),
            threes(key),
            threes(value),
            self._part((block, 2 * block), (0, 3 * block)),
        )
        between = g.op("Reshape", between, g.constant([1, -1, self._hidden_size]))
        behind = g.op("Sub", length, before_rest)
        last = self._attend(
            self._tokens(query, rest, length),
            *(self._tokens(part, before_rest, length) for part in (key, value)),
            self._part((block, behind), (0, behind)),
        )
        return g.op("Concat", first, between, last, axis=1)

    def _tokens(self, part: str, start: str | int, end: str | int) -> str:
        return self._g.op("Slice", part, *self._bounds(start, end), self._g.constant([1]))

    def _blocks(self, part: str, start: str | int, end: str | int) -> str:
        """Some whole blocks of a window's tokens as texts of their own."""
        shape = self._g.constant([-1, self._block, self._hidden_size])
        return self._g.op("Reshape", self._tokens(part, start, end), shape)

    def _part(self, rows: tuple[str | int, str | int], columns: tuple[str | int, str | int]) -> str:
        """What is added to the scores of some tokens for others, (1, 1, rows, columns)."""
        g = self._g
        of_rows = g.op("Slice", self._band, *self._bounds(*rows), g.constant([2]))
        return g.op("Slice", of_rows, *self._bounds(*columns), g.constant([3]))

    def _bounds(self, *bounds: str | int) -> list[str]:
        return [self._g.constant([bound]) if isinstance(bound, int) else bound for bound in bounds]


def _band(length: int, reach: int, dtype: Float) -> np.ndarray:
    """0 where two places are within reach of each other, and FAR_SCORE elsewhere, [1, 1, length, length]."""
    places = np.arange(length)
    is_far = np.abs(places[:, None] - places) > reach
    return np.where(is_far, FAR_SCORE, 0.0).astype(dtype)[None, None]


class PackedLocalAttention:
    """Attention within a reach for all windows at once, of plain operators: for GPUs, where loops are slow.

    Blocks are as long as the reach, and all windows are padded to whole ones.

    Args:
        g: the graph under construction.
        reach: how far away a token's neighbours may be, on each side.
        windows: of all tokens.
        heads: how many there are, and their size.
        dtype: of queries, keys, values and contexts.
    """

    def __init__(
        self, g: GraphBuilder, reach: int, windows: Windows, heads: tuple[int, int], dtype: Float
    ) -> None:
        self._g = g
        self._block = max(reach, _SMALLEST_BLOCK)
        self._heads, self._head_size = heads
        self._dtype = dtype
        number, first, start, end = self._blocks_of(windows)  # (B, 1) each
        block = self._block
        queries = g.op("Add", first, g.constant([[*range(block)]]))  # (B, b)
        keys = g.op("Add", first, g.constant([[*range(-block, 2 * block)]]))  # (B, 3b)
        self._queries, self._keys = (self._within(places, start, end) for places in (queries, keys))
        is_key = g.op("And", g.op("GreaterOrEqual", keys, start), g.op("Less", keys, end))
        self._added = self._scores(queries, keys, is_key, reach)  # (B, 1, b, 3b)
        places = g.op("Add", g.op("Mul", number, g.constant(block)), g.constant([[*range(block)]]))
        is_token = g.op("Reshape", g.op("Less", queries, end), g.constant([-1]))
        # Where each token stands among those of all blocks.
        self._tokens = g.op("Compress", g.op("Reshape", places, g.constant([-1])), is_token)  # (T)

    def _blocks_of(self, windows: Windows) -> tuple[str, str, str, str]:
        """Of each block its number, its first token, and where its window starts and ends, INT64 [B, 1]."""
        g, block = self._g, self._block
        starts, ends = (g.op("Squeeze", bound, g.constant([1])) for bound in (windows.starts, windows.ends))
        lengths = g.op("Sub", ends, starts)
        blocks = g.op("Div", g.op("Add", lengths, g.constant(block - 1)), g.constant(block))  # (W)
        behind = g.op("CumSum", blocks, g.constant(0))  # (W), the number of the next window's first
        count = g.op("ReduceMax", behind, keepdims=0)  # B
        numbers = g.op("Range", g.constant(0), count, g.constant(1))  # (B)
        number = g.op("Unsqueeze", numbers, g.constant([1]))
        is_behind = g.op("Cast", g.op("GreaterOrEqual", number, behind), to=TensorProto.INT64)  # (B, W)
        window = g.op("ReduceSum", is_behind, g.constant([1]), keepdims=1)  # (B, 1)
        start, end, before = (
            g.op("Gather", values, window, axis=0) for values in (starts, ends, g.op("Sub", behind, blocks))
        )
        place = g.op("Mul", g.op("Sub", number, before), g.constant(block))
        return number, g.op("Add", start, place), start, end

    def _scores(self, queries: str, keys: str, is_key: str, reach: int) -> str:
        """What is added to the scores of each block."""
        g = self._g
        column, row = (
            g.op("Unsqueeze", places, g.constant([axis])) for places, axis in ((queries, 2), (keys, 1))
        )
        is_near = g.op("LessOrEqual", g.op("Abs", g.op("Sub", column, row)), g.constant(reach))
        is_seen = g.op("And", is_near, g.op("Unsqueeze", is_key, g.constant([1])))
        far = g.constant(FAR_SCORE, self._dtype)
        scores = g.op("Where", is_seen, g.constant(0.0, self._dtype), far)
        return g.op("Unsqueeze", scores, g.constant([1]))

    def _within(self, places: str, start: str, end: str) -> str:
        """Places of tokens, where those outside the window are some of its own."""
        g = self._g
        return g.op("Max", g.op("Min", places, g.op("Sub", end, g.constant(1))), start)

    def context(self, query: str, key: str, value: str) -> str:
        """Contexts [T, H] of all tokens, from their queries, keys and values [T, H]."""
        g = self._g
        scale = g.constant(1 / np.sqrt(self._head_size), self._dtype)
        queries = self._in_heads(g.op("Mul", query, scale), self._queries, [0, 2, 1, 3])  # (B, N, b, d)
        keys = self._in_heads(key, self._keys, [0, 2, 3, 1])  # (B, N, d, 3b)
        values = self._in_heads(value, self._keys, [0, 2, 1, 3])  # (B, N, 3b, d)
        scores = g.op("Softmax", g.op("Add", g.op("MatMul", queries, keys), self._added), axis=-1)
        contexts = g.op("Transpose", g.op("MatMul", scores, values), perm=[0, 2, 1, 3])  # (B, b, N, d)
        of_places = g.op("Reshape", contexts, g.constant([-1, self._heads * self._head_size]))
        return g.op("Gather", of_places, self._tokens, axis=0)

    def _in_heads(self, part: str, places: str, perm: list[int]) -> str:
        g = self._g
        heads = g.op("Reshape", part, g.constant([-1, self._heads, self._head_size]))
        return g.op("Transpose", g.op("Gather", heads, places, axis=0), perm=perm)
