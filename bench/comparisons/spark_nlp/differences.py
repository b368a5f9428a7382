"""Where two columns of annotations differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCORE_TOLERANCE: Final = 1e-4
_FIELDS: Final = ("annotatorType", "begin", "end", "result", "embeddings")
_CATEGORY: Final = "category"
_SENTENCE: Final = "sentence"


@dataclass(frozen=True)
class Difference:
    """One annotation that is not the same."""

    row: int
    place: int  # in the row
    field: str  # the whole annotation, where only one side has it
    theirs: object
    ours: object


def differing(
    theirs: Sequence[Sequence[Any] | None], ours: Sequence[Sequence[Any] | None]
) -> list[Difference]:
    """All of them, of one column: each list holds the rows' annotations.

    Scores may differ by SCORE_TOLERANCE, and nothing else at all; their order counts.
    """
    return [
        Difference(row, place, *found)
        for row, (left, right) in enumerate(zip(theirs, ours, strict=True))
        for place, (one, other) in enumerate(zip_longest(left or [], right or []))
        for found in _of_annotation(one, other)
    ]


def _of_annotation(one: Any, other: Any) -> Iterator[tuple[str, object, object]]:  # noqa: ANN401 (a Row)
    if one is None or other is None:
        yield "annotation", one, other
        return
    for name in _FIELDS:
        if one[name] != other[name]:
            # Scores tell whether two labels were all but tied.
            yield name, (one[name], one["metadata"]), (other[name], other["metadata"])
    if not _are_alike(one["metadata"], other["metadata"], scored=one["annotatorType"] == _CATEGORY):
        yield "metadata", one["metadata"], other["metadata"]


def _are_alike(one: Mapping[str, str], other: Mapping[str, str], *, scored: bool) -> bool:
    if not scored:
        return one == other
    return list(one) == list(other) and all(
        one[key] == other[key]
        if key == _SENTENCE
        else abs(float(one[key]) - float(other[key])) <= SCORE_TOLERANCE
        for key in one
    )
