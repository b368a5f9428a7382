"""How the tokens of a window attend to each other: one class a way, chosen by the graph's options.

Each takes queries, keys and values [T, H] of all windows and gives their contexts [T, H]. In the last layer
the contexts of first tokens [W, H] are enough, since the classifier reads no others. Scores are divided by
the square root of the head's size, as all these operators do by default.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from onnx import TensorProto, helper

from bertriton_export.network.local_attention import LocalAttention, PackedLocalAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_export.checkpoint import BertConfig
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows


class Attention(Protocol):
    """One way to attend, made once a graph; what all layers share is computed there."""

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None: ...

    def local(self, reach: int) -> Attention:
        """The same for layers in which a token attends to those at most so far away, on each side."""

    def biased(self, bias: str) -> Attention:
        """The same with a value [1, N, P, P] added to scores, by head and the places of both tokens."""

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
        self._dtype = dtype
        self._element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._attributes: dict[str, Any] = {"num_heads": self._heads}
        self.blocks: LocalAttention | None = None  # see `local`
        self.bias = ""  # see `biased`
        with g.scope("one_window"):
            self._is_alone = g.op("Equal", windows.count, g.constant(1))

    def local(self, reach: int) -> LoopAttention:
        """The same, within blocks of a window."""
        attention = copy.copy(self)
        attention.blocks = LocalAttention(self._g, reach, self._dtype, self._hidden_size, self._scored)
        return attention

    def biased(self, bias: str) -> LoopAttention:
        """The same, where each window takes a corner of the bias."""
        attention = copy.copy(self)
        attention.bias = bias
        return attention

    def context(self, query: str, key: str, value: str) -> str:
        """Emit a loop over the windows."""
        return self._loop(self._part, self._attended, query, key, value)

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

        return self._loop(own, self._attended_of_first, query, key, value)

    def _loop(
        self, own: Callable[[str, str], str], attended: Callable[..., str], *queries_keys_values: str
    ) -> str:
        """Emit the loop.

        `own` gives a window's queries (1, L or 1, H) among those of all, and `attended` their contexts.
        """
        g = self._g
        # A leading dimension of one text lets the loop cut and attend without reshaping.
        wholes = [g.op("Unsqueeze", part, g.constant([0])) for part in queries_keys_values]

        def of_one() -> list[str]:
            return [attended(*wholes, is_alone=True)]

        def of_several() -> list[str]:
            return [self._joined(own, attended, *wholes)]

        of_all = helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])
        return g.op("Squeeze", *g.branch(self._is_alone, of_one, of_several, [of_all]), g.constant([0]))

    def _joined(
        self,
        own: Callable[[str, str], str],
        attended: Callable[..., str],
        queries: str,
        *keys_values: str,
    ) -> str:
        """Contexts of all windows, one after the other."""
        g = self._g

        def attend(index: str, contexts: str) -> str:
            parts = [own(index, queries), *(self._part(index, whole) for whole in keys_values)]
            return g.op("SequenceInsert", contexts, attended(*parts, is_alone=False))

        one_window = helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])
        contexts = g.loop(
            self._windows.count,
            g.op("SequenceEmpty", dtype=self._element),
            helper.make_sequence_type_proto(one_window),
            attend,
        )
        return g.op("ConcatFromSequence", contexts, axis=1)

    def _attended(self, query: str, key: str, value: str, *, is_alone: bool) -> str:
        """Contexts of one window (1, L, H), which is the only one or one of several."""
        del is_alone
        if self.blocks:
            return self.blocks.context(query, key, value)
        return self._scored(query, key, value, self._bias_of(key))

    def _attended_of_first(self, query: str, key: str, value: str, *, is_alone: bool) -> str:
        """The context of a window's first token (1, 1, H)."""
        del is_alone
        if self.blocks:
            return self.blocks.context_of_first(query, key, value)
        return self._scored(query, key, value, self._bias_of(key, queries=self._g.constant([1])))

    def _scored(self, query: str, key: str, value: str, added: str = "") -> str:
        """Contexts of texts of one length, where something may be added to their scores."""
        inputs = (query, key, value, "", "", added) if added else (query, key, value)
        return self._g.op("MultiHeadAttention", *inputs, **self._attributes)

    def _bias_of(self, key: str, queries: str = "") -> str:
        """What belongs to a window's scores, whose places count from its start: a corner of the bias."""
        if not self.bias:
            return ""
        g, length = self._g, self._length(key)
        corner = g.op("Concat", queries or length, length, axis=0)
        return g.op("Slice", self.bias, g.constant([0, 0]), corner, g.constant([2, 3]))

    def _length(self, key: str) -> str:
        """Tokens of a window, (1)."""
        return self._g.op("Shape", key, start=1, end=2)

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
        self._g = g
        self._dtype = dtype
        self._heads = config.num_attention_heads
        self._head_size = config.head_size
        self._windows = windows
        self.blocks: PackedLocalAttention | None = None  # see `local`
        self.bias = ""  # as far as the longest window reaches, [1, N, S, S]
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

    def local(self, reach: int) -> PackedAttention:
        """The same, of plain operators for blocks of all windows at once."""
        attention, heads = copy.copy(self), (self._heads, self._head_size)
        with self._g.scope("blocks"):
            attention.blocks = PackedLocalAttention(self._g, reach, self._windows, heads, self._dtype)
        return attention

    def biased(self, bias: str) -> PackedAttention:
        """The same, where all windows take the corner that the longest one needs."""
        g, attention = self._g, copy.copy(self)
        with g.scope("packing"):
            longest = g.op("Shape", self._token_offset, start=1, end=2)
            corner = g.op("Concat", longest, longest, axis=0)
            attention.bias = g.op("Slice", bias, g.constant([0, 0]), corner, g.constant([2, 3]))
        return attention

    def context(self, query: str, key: str, value: str) -> str:
        """Emit the one operator."""
        if self.blocks:
            return self.blocks.context(query, key, value)
        no_bias = ""
        inputs = [query, key, value, no_bias, self._token_offset, self._cumulative]
        if self.bias:
            inputs.append(self.bias)
        return self._g.op("PackedMultiHeadAttention", *inputs, num_heads=self._heads)

    def queries_of_first(self, hidden: str, firsts: str) -> str:
        """The kernel takes as many queries as keys."""
        del firsts
        return hidden

    def context_of_first(self, query: str, key: str, value: str) -> str:
        """Emit the operator for all tokens, and take those of the first."""
        return self._windows.firsts(self._g, self.context(query, key, value))
