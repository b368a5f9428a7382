"""Windows of the packed graph: where each starts and ends, and what those of one text come to together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto, helper

from bertriton import contract

if TYPE_CHECKING:
    from bertriton_export.network.graph_builder import GraphBuilder

# Slice ends are exclusive: this one is behind the last element of any tensor.
_TO_THE_END: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Windows:
    """Where each window's tokens stand among all tokens: names of graph values."""

    count: str  # INT64 scalar, W
    starts: str  # INT64 [W, 1]
    ends: str  # INT64 [W, 1], exclusive
    marks: str  # INT32 [W], the contract's mark on each window's first token

    def firsts(self, g: GraphBuilder, tokens: str) -> str:
        """Of a tensor [T, ...] what belongs to the first token of each window, [W, ...]."""
        return g.op("Gather", tokens, g.op("Squeeze", self.starts, g.constant([1])), axis=0)


def find_windows(g: GraphBuilder, marked_positions: str) -> Windows:
    """A window starts at position 0 or at a mark, and ends where the next one starts."""
    with g.scope("windows"):
        is_start = g.op("LessOrEqual", marked_positions, g.constant(0, np.int32))
        starts, ends = _runs(g, is_start)
        count = g.op("Gather", g.op("Shape", starts), g.constant(0), axis=0)
        marks = g.op("Compress", marked_positions, is_start, axis=0)
    return Windows(count, starts, ends, marks)


def join_windows(
    g: GraphBuilder, logits: str, probabilities: str, windows: Windows, *, labels: int
) -> list[str]:
    """Logits and probabilities [R, C], one row a text: the only window's, or what its windows come to."""
    first_mark = g.op("ReduceMin", windows.marks, keepdims=0)
    has_more = g.op("Less", first_mark, g.constant(0, np.int32))

    def of_several_windows() -> list[str]:
        scores = g.op("Concat", logits, probabilities, axis=1)  # (W, 2C)
        joined = _joined(g, scores, windows)  # (R, 2C)
        return g.ops("Split", joined, g.constant([labels, labels]), outputs=2, axis=1)

    one_row_a_text = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, labels])
    return g.branch(
        has_more, of_several_windows, lambda: [logits, probabilities], [one_row_a_text, one_row_a_text]
    )


def _joined(g: GraphBuilder, scores: str, windows: Windows) -> str:
    """The mean or maximum over each text's windows; text by text, so that no other has a part in it."""
    starts, ends = _runs(g, g.op("Equal", windows.marks, g.constant(0, np.int32)))  # (R, 1) each

    def join(index: str, rows: str) -> str:
        start, end = (g.op("Gather", bounds, index, axis=0) for bounds in (starts, ends))
        part = g.op("Slice", scores, start, end, g.constant([0]))  # (n, 2C)
        last_mark = g.op("Slice", windows.marks, g.op("Sub", end, g.constant([1])), end)
        is_maximum = g.op("Equal", last_mark, g.constant(contract.NEXT_WINDOW_OF_MAXIMUM, np.int32))
        # NEXT_WINDOW_OF_MEAN otherwise, or 0: the mean of a text's only window is that window.
        mean, maximum = (g.op(reduce, part, axes=[0], keepdims=1) for reduce in ("ReduceMean", "ReduceMax"))
        return g.op("SequenceInsert", rows, g.op("Where", is_maximum, maximum, mean))

    one_row = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, None])
    rows = g.loop(
        g.op("Gather", g.op("Shape", starts), g.constant(0), axis=0),
        g.op("SequenceEmpty", dtype=TensorProto.FLOAT),
        helper.make_sequence_type_proto(one_row),
        join,
    )
    return g.op("ConcatFromSequence", rows, axis=0)


def _runs(g: GraphBuilder, is_start: str) -> tuple[str, str]:
    """Where runs of elements start and end, INT64 [runs, 1] each."""
    starts = g.op("Transpose", g.op("NonZero", is_start), perm=[1, 0])
    next_starts = g.op("Slice", starts, g.constant([1]), g.constant([_TO_THE_END]))
    total = g.op("Unsqueeze", g.op("Shape", is_start), g.constant([0]))  # (1, 1)
    return starts, g.op("Concat", next_starts, total, axis=0)
