"""Texts gathered into batches that the server takes, and their results in the order of the texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from bertriton._errors import InvalidTextError
from bertriton._wire import EncodedText, encoded_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton._errors import BertritonError
    from bertriton._types import Classification

Outcome: TypeAlias = "Classification | BertritonError"

# Answers that need no request (cached or refused) may fill a batch to this many times its rows.
_PLACES_PER_ROW = 4


class Row(NamedTuple):
    """A text on its way to the server."""

    place: int  # in the results of its batch
    text: EncodedText


@dataclass
class Batch:
    """Consecutive texts of the input: those to be sent in one request, and room for the results of all."""

    first_index: int  # place of the first text in the whole input
    results: list[Outcome | None] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    size_bytes: int = 0

    def settle(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        """Put the outcomes of some rows into their places."""
        for row, outcome in zip(rows, outcomes, strict=True):
            self.results[row.place] = outcome


class BatchBuilder:
    """Takes one text after the other and closes a batch when the next text does not fit."""

    def __init__(
        self,
        *,
        max_rows: int,
        max_request_bytes: int,
        max_text_bytes: int,
        known_answer: Callable[[EncodedText], Classification | None],
        keep_errors: bool,
        rows_per_text: int = 1,
    ) -> None:
        self._max_rows = max_rows
        self._max_request_bytes = max_request_bytes
        self._max_text_bytes = max_text_bytes
        self._known_answer = known_answer
        self._keep_errors = keep_errors
        self._rows_per_text = rows_per_text  # of the input, whose texts errors count
        self._batch = Batch(first_index=0)

    @property
    def is_empty(self) -> bool:
        """Whether the open batch holds no text."""
        return not self._batch.results

    @property
    def free_rows(self) -> int:
        """Texts that complete the open batch, if they are no longer than the request may be."""
        return self._max_rows - len(self._batch.rows)

    def add(self, text: object) -> Batch | None:
        """Take a text; give the batch that is complete by that, if one is."""
        index = (self._batch.first_index + len(self._batch.results)) // self._rows_per_text
        try:
            encoded = encoded_text(text, index, self._max_text_bytes)
        except InvalidTextError as error:
            if not self._keep_errors:
                raise
            return self._add_outcome(error)
        known = self._known_answer(encoded)
        return self._add_row(encoded) if known is None else self._add_outcome(known)

    def close(self) -> Batch:
        """Give the batch as it is and begin the next."""
        closed = self._batch
        self._batch = Batch(first_index=closed.first_index + len(closed.results))
        return closed

    def _add_outcome(self, outcome: Outcome) -> Batch | None:
        self._batch.results.append(outcome)
        return self.close() if len(self._batch.results) >= self._max_rows * _PLACES_PER_ROW else None

    def _add_row(self, text: EncodedText) -> Batch | None:
        size_bytes = sum(map(len, text))
        closed = None if self._fits(text, size_bytes) else self.close()
        batch = self._batch
        batch.rows.append(Row(len(batch.results), text))
        batch.results.append(None)
        batch.size_bytes += size_bytes
        if closed is None and len(batch.rows) >= self._max_rows:
            return self.close()
        return closed

    def _fits(self, text: EncodedText, size_bytes: int) -> bool:
        rows = self._batch.rows
        if not rows:
            return True
        # A tensor is rectangular: single texts and pairs cannot share one.
        same_width = len(rows[0].text) == len(text)
        return (
            same_width
            and len(rows) < self._max_rows
            and self._batch.size_bytes + size_bytes <= self._max_request_bytes
        )


def halves(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Two parts of a refused request, to find the row that it was refused for."""
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]
