"""How the tokens of a window attend to each other: one class a way, chosen by the graph's options.

Each takes queries, keys and values [T, H] of all windows and gives their contexts [T, H]. In the last layer
the contexts of first tokens [W, H] are enough, since the classifier reads no others. Scores are divided by
the square root of the head's size, as all these operators do by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_export.checkpoint import BertConfig
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows


class Attention(Protocol):
    """One way to attend, made once a graph; what all layers share is computed there."""

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None: ...

    def context(self, query: str, key: str, value: str) -> str:
        """Emit one layer's attention."""

    def queries_of_first(self, hidden: str, firsts: str) -> str:
        """What the queries for `context_of_first` are made from: all tokens, or the first of each window."""

    def context_of_first(self, query: str, key: str, value: str) -> str:
        """Emit the last layer's attention, for the first token of each window."""


class LoopAttention:
    """Window by window: short of a kernel for ragged rows, the unmasked one is the fast one on a CPU.

    One window alone needs no loop, which would copy its queries, keys, values and contexts.
    """

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None:
        self._g = g
        self._heads = config.num_attention_heads
        self._hidden_size = config.hidden_size
        self._windows = windows
        self._element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        with g.scope("one_window"):
            self._is_alone = g.op("Equal", windows.count, g.constant(1))

    def context(self, query: str, key: str, value: str) -> str:
        """Emit a loop over the windows."""
        return self._loop(self._part, query, key, value)

    def queries_of_first(self, hidden: str, firsts: str) -> str:
        """Nobody else's are needed."""
        del hidden
        return firsts

    def context_of_first(self, query: str, key: str, value: str) -> str:
        """Emit a loop over the windows in which one token of each asks."""

        def own(index: str, queries: str) -> str:
            return self._g.op(
                "Gather", queries, self._g.op("Unsqueeze", index, self._g.constant([0])), axis=1
            )

        return self._loop(own, query, key, value)

    def _loop(self, own: Callable[[str, str], str], *queries_keys_values: str) -> str:
        """Emit the loop; `own` gives a window's queries (1, L or 1, H) among those of all."""
        g = self._g
        # A leading dimension of one text lets the loop cut and attend without reshaping.
        wholes = [g.op("Unsqueeze", part, g.constant([0])) for part in queries_keys_values]

        def of_one() -> list[str]:
            return [self._attended(*wholes)]

        def of_several() -> list[str]:
            return [self._joined(own, *wholes)]

        of_all = helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])
        return g.op("Squeeze", *g.branch(self._is_alone, of_one, of_several, [of_all]), g.constant([0]))

    def _joined(self, own: Callable[[str, str], str], queries: str, *keys_values: str) -> str:
        """Contexts of all windows, one after the other."""
        g = self._g

        def attend(index: str, contexts: str) -> str:
            parts = [own(index, queries), *(self._part(index, whole) for whole in keys_values)]
            return g.op("SequenceInsert", contexts, self._attended(*parts))

        one_window = helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])
        contexts = g.loop(
            self._windows.count,
            g.op("SequenceEmpty", dtype=self._element),
            helper.make_sequence_type_proto(one_window),
            attend,
        )
        return g.op("ConcatFromSequence", contexts, axis=1)

    def _attended(self, *queries_keys_values: str) -> str:
        return self._g.op("MultiHeadAttention", *queries_keys_values, num_heads=self._heads)

    def _part(self, index: str, whole: str) -> str:
        """One window (1, L, H) of all (1, T, H)."""
        g, bounds = self._g, (self._windows.starts, self._windows.ends)
        start, end = (g.op("Gather", bound, index, axis=0) for bound in bounds)
        return g.op("Slice", whole, start, end, g.constant([1]))


class PackedAttention:
    """ONNX Runtime's kernel for ragged rows, which only CUDA has.

    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.PackedMultiHeadAttention

    Queries, keys and values apart and no bias among the inputs: so the variable-length flash kernel takes
    windows of any length, and copies nothing first.
    """

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None:
        del dtype  # that of queries, keys and values
        self._g = g
        self._heads = config.num_attention_heads
        self._windows = windows
        with g.scope("packing"):
            self._token_offset = self._offsets(windows)
            ends = g.op("Squeeze", windows.ends, g.constant([1]))  # (W)
            cumulative = g.op("Concat", g.constant([0]), ends, axis=0)  # (W + 1)
            self._cumulative = g.op("Cast", cumulative, to=TensorProto.INT32)

    def _offsets(self, windows: Windows) -> str:
        """INT32 [W, S]: places of the tokens, were all windows padded to the longest; then those of padding.

        Flash reads nothing but its shape: W windows, the longest of S tokens. The kernels for older GPUs and
        for short windows in fp32 pad by its values.
        """
        g = self._g
        lengths = g.op("Sub", windows.ends, windows.starts)  # (W, 1)
        longest = g.op("ReduceMax", lengths, keepdims=0)  # S
        places = g.op("Range", g.constant(0), longest, g.constant(1))  # (S)
        is_token = g.op("Less", places, lengths)  # (W, S)
        in_a_row = g.op("Reshape", is_token, g.constant([-1]))
        kinds = [g.op("NonZero", kind) for kind in (in_a_row, g.op("Not", in_a_row))]  # (1, T), (1, W*S - T)
        offsets = g.op("Reshape", g.op("Concat", *kinds, axis=1), g.op("Shape", is_token))
        return g.op("Cast", offsets, to=TensorProto.INT32)

    def context(self, query: str, key: str, value: str) -> str:
        """Emit the one operator."""
        no_bias = ""
        inputs = (query, key, value, no_bias, self._token_offset, self._cumulative)
        return self._g.op("PackedMultiHeadAttention", *inputs, num_heads=self._heads)

    def queries_of_first(self, hidden: str, firsts: str) -> str:
        """The kernel takes as many queries as keys."""
        del firsts
        return hidden

    def context_of_first(self, query: str, key: str, value: str) -> str:
        """Emit the operator for all tokens, and take those of the first."""
        return self._windows.firsts(self._g, self.context(query, key, value))
