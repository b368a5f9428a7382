"""Rows in parts: where a row may be cut, and how the answers to its parts are the answer to it.

An ONNX file may say in its metadata, under `row_parts`, that certain values of one of its inputs begin a part
of a row that is answered by itself, and that the row's answer is the mean or the maximum over its parts; and
which value is padding, that changes nothing:

    {"position_ids": {"marks": {"-2": "mean", "-3": "max"}, "padding": -1}}

A part that comes to stand first in a piece begins with 0 there, as a row does. Where a row is cut depends on
what it holds alone, not on its padding, and so do the bits of its answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = Any  # of numpy
Named = dict[str, Array]  # tensors by name, [rows, ...] each

PARTS_KEY = "row_parts"
WHOLE_ROWS = -1
MEAN = "mean"


@dataclass(frozen=True)
class Piece:
    """Some rows of a request, or some parts of one row."""

    named: Named
    row: int = WHOLE_ROWS  # the row that it is a part of
    parts: int = 1  # of that row
    aggregation: str = MEAN

    @property
    def rows(self) -> int:
        """Rows that the network sees."""
        return len(next(iter(self.named.values())))

    @property
    def size(self) -> int:
        """Elements of the first input."""
        return int(next(iter(self.named.values())).size)


class RowParts:
    """How the rows of one network may be cut; not at all where its file says nothing.

    Args:
        metadata: of the ONNX file.
    """

    def __init__(self, metadata: dict[str, str]) -> None:
        described = json.loads(metadata.get(PARTS_KEY, "{}"))
        self.input = next(iter(described), "")
        of_input = described.get(self.input, {"marks": {}, "padding": None})
        self.padding: int | None = of_input["padding"]
        self.mark_to_aggregation = {int(mark): how for mark, how in of_input["marks"].items()}

    def cut(self, named: Named, row: int, elements: int) -> Iterator[Piece]:
        """One row in pieces of so many elements, or of one part where that has more."""
        of_row = self.without_padding({name: array[row : row + 1] for name, array in named.items()})
        marked = of_row[self.input].reshape(-1) if self.input in of_row else np.empty(0)
        starts = np.flatnonzero(np.isin(marked[1:], [*self.mark_to_aggregation])) + 1
        if (
            len({array.shape[-1] for array in of_row.values()}) > 1
            or len(marked) <= elements
            or not len(starts)
        ):
            yield Piece(of_row)
            return
        aggregation = self.mark_to_aggregation[int(marked[starts[-1]])]
        bounds = np.concatenate([[0], starts, [len(marked)]])
        first = 0
        while first < len(starts) + 1:
            # As many parts as fit, and one at least.
            end = int(np.searchsorted(bounds, bounds[first] + elements, side="right")) - 1
            end = max(first + 1, end)
            piece = {name: array[..., bounds[first] : bounds[end]] for name, array in of_row.items()}
            piece[self.input] = piece[self.input].copy()
            piece[self.input][..., 0] = 0 if first else marked[0]
            yield Piece(piece, row, end - first, aggregation)
            first = end

    def without_padding(self, of_row: Named) -> Named:
        """The tensors of one row up to its last element; all of them where that cannot be told."""
        if self.input not in of_row or len({array.shape[-1] for array in of_row.values()}) > 1:
            return of_row
        elements = np.flatnonzero(of_row[self.input].reshape(-1) != self.padding)
        end = int(elements[-1]) + 1 if len(elements) else None
        return {name: array[..., :end] for name, array in of_row.items()}


def joined(pieces: Sequence[Piece], answers: Sequence[Array]) -> Array:
    """One output of all rows, from that of each piece; the parts of a row come one after the other."""
    if len(pieces) == 1:
        return answers[0]
    rows: list[Array] = []
    index = 0
    while index < len(pieces):
        end = index + 1
        while pieces[index].row != WHOLE_ROWS and end < len(pieces) and pieces[end].row == pieces[index].row:
            end += 1
        rows.append(_of_one_row(pieces[index:end], answers[index:end]))
        index = end
    return np.concatenate(rows)


def _of_one_row(pieces: Sequence[Piece], answers: Sequence[Array]) -> Array:
    """What pieces of one row come to; whole numbers are no scores, and alike in all of them."""
    first = answers[0]
    if len(pieces) == 1 or not np.issubdtype(first.dtype, np.floating):
        return first
    if pieces[0].aggregation != MEAN:
        return np.max(answers, axis=0)
    weights = np.array([piece.parts for piece in pieces], np.float64)
    return np.average(np.asarray(answers, np.float64), axis=0, weights=weights).astype(first.dtype)
