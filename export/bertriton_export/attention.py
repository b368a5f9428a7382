"""How the tokens of a window attend to each other: one class a way, chosen by the graph's options.

Each takes queries, keys and values [T, H] of all windows and gives their contexts [T, H]. Scores are divided
by the square root of the head's size, as all these operators do by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from bertriton_export.bert import BertConfig
    from bertriton_export.graph_builder import GraphBuilder
    from bertriton_export.linear import Float
    from bertriton_export.windows import Windows


class Attention(Protocol):
    """One way to attend, made once a graph; what all layers share is computed there."""

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None: ...

    def context(self, query: str, key: str, value: str) -> str:
        """Emit one layer's attention."""


class LoopAttention:
    """Window by window: short of a kernel for ragged rows, the unmasked one is the fast one on a CPU."""

    def __init__(self, g: GraphBuilder, config: BertConfig, windows: Windows, dtype: Float) -> None:
        self._g = g
        self._heads = config.num_attention_heads
        self._hidden_size = config.hidden_size
        self._windows = windows
        self._element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def context(self, query: str, key: str, value: str) -> str:
        """Emit a loop over the windows."""
        g = self._g
        # A leading dimension of one text lets the loop cut and attend without reshaping.
        wholes = [g.op("Unsqueeze", part, g.constant([0])) for part in (query, key, value)]  # (1, T, H) each

        def attend(index: str, contexts: str) -> str:
            bounds = (self._windows.starts, self._windows.ends)
            start, end = (g.op("Gather", bound, index, axis=0) for bound in bounds)
            parts = [g.op("Slice", whole, start, end, g.constant([1])) for whole in wholes]  # (1, L, H) each
            context = g.op("MultiHeadAttention", *parts, num_heads=self._heads)
            return g.op("SequenceInsert", contexts, context)

        one_window = helper.make_tensor_type_proto(self._element, [1, None, self._hidden_size])
        contexts = g.loop(
            self._windows.count,
            g.op("SequenceEmpty", dtype=self._element),
            helper.make_sequence_type_proto(one_window),
            attend,
        )
        return g.op("Squeeze", g.op("ConcatFromSequence", contexts, axis=1), g.constant([0]))  # (T, H)


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
