"""Batches keep to the server's limits and lose, repeat and reorder nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertriton import InvalidTextError
from bertriton._clients.batches import Batch, BatchBuilder, halves

if TYPE_CHECKING:
    from bertriton._wire import EncodedText

MAX_ROWS = 4
MAX_REQUEST_BYTES = 20
TEXTS = st.one_of(st.text("aé", max_size=9), st.tuples(st.text("b", max_size=4), st.text("c", max_size=4)))


def _batches(texts: list[object], *, keep_errors: bool = False) -> list[Batch]:
    builder = BatchBuilder(
        max_rows=MAX_ROWS,
        max_request_bytes=MAX_REQUEST_BYTES,
        max_text_bytes=18,
        known_answer=_nothing,
        keep_errors=keep_errors,
    )
    closed = [batch for batch in map(builder.add, texts) if batch is not None]
    return [*closed, builder.close()]


def _nothing(_: EncodedText) -> None:
    return None


@given(st.lists(TEXTS, max_size=30))
def test_batches_hold_all_texts_in_order_within_the_limits(texts: list[object]) -> None:
    batches = _batches(texts)

    rows = [row.text for batch in batches for row in batch.rows]
    assert rows == [
        tuple(part.encode() for part in (text if isinstance(text, tuple) else (text,)))  # type: ignore[attr-defined]
        for text in texts
    ]
    assert [batch.first_index for batch in batches] == [
        sum(len(earlier.results) for earlier in batches[:place]) for place in range(len(batches))
    ]
    for batch in batches:
        assert len(batch.rows) <= MAX_ROWS
        assert sum(len(part) for row in batch.rows for part in row.text) <= MAX_REQUEST_BYTES
        assert len({len(row.text) for row in batch.rows}) <= 1


def test_an_invalid_text_is_raised_with_its_place_in_the_whole_input() -> None:
    texts: list[object] = ["a"] * 9 + [None]

    with pytest.raises(InvalidTextError) as caught:
        _batches(texts)

    assert caught.value.index == 9


def test_a_kept_error_takes_the_place_of_its_text() -> None:
    (batch,) = _batches(["a", None, "b"], keep_errors=True)

    assert [type(result) for result in batch.results] == [type(None), InvalidTextError, type(None)]
    assert [row.place for row in batch.rows] == [0, 2]


def test_errors_alone_still_close_a_batch() -> None:
    batches = _batches([None] * 100, keep_errors=True)

    assert sum(len(batch.results) for batch in batches) == 100
    assert max(len(batch.results) for batch in batches) < 100


@given(st.integers(2, 64))
def test_halves_together_are_the_whole(count: int) -> None:
    (batch,) = _batches(["a"])
    rows = batch.rows * count

    first, second = halves(rows)

    assert [*first, *second] == rows
    assert first
    assert second
