"""Which rows could not be classified, and why, in a few lines."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton._errors import BertritonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bertriton._files.parts import Answer

_ROWS_TOLD: Final = 3  # of each reason
_REASONS_TOLD: Final = 10
_PLACE: Final = re.compile(r"text \d+: ")  # in the stream of one run, which is not the row of the file
_VARYING: Final = re.compile(r"\d[\d,.]*|'[^']*'")  # in messages of one reason


@dataclass
class _Reason:
    """One reason, and the rows that failed for it."""

    message: str  # of the first
    count: int = 0
    rows: list[int] = field(default_factory=list)  # the first of them, from 1


class Failures:
    """Rows that could not be classified, by reason."""

    def __init__(self) -> None:
        self._reasons: dict[str, _Reason] = {}

    @property
    def count(self) -> int:
        """How many rows failed."""
        return sum(reason.count for reason in self._reasons.values())

    def add(self, answers: Iterable[Answer], first_row: int) -> None:
        """Take note of the errors among some answers; rows count from 1."""
        for row, answer in enumerate(answers, start=first_row):
            if isinstance(answer, BertritonError):
                message = reason_of(answer)
                self._merge(_VARYING.sub("", message), _Reason(message, 1, [row]))

    def merge(self, other: Failures) -> None:
        """Add those of other rows, which come later in the file."""
        for key, reason in other._reasons.items():
            self._merge(key, reason)

    def lines(self) -> Iterator[str]:
        """A line for each of the most frequent reasons, with the first of its rows."""
        reasons = sorted(self._reasons.values(), key=lambda reason: -reason.count)
        for reason in reasons[:_REASONS_TOLD]:
            rows = ", ".join(f"{row:,}" for row in reason.rows)
            more = ", ..." if reason.count > len(reason.rows) else ""
            noun = "row" if reason.count == 1 else "rows"
            yield f"{reason.count:,} x {reason.message} ({noun} {rows}{more})"
        others = sum(reason.count for reason in reasons[_REASONS_TOLD:])
        if others:
            yield f"{others:,} x for other reasons"

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {key: asdict(reason) for key, reason in self._reasons.items()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Failures:
        """Read what `to_json` wrote."""
        failures = cls()
        failures._reasons = {key: _Reason(**reason) for key, reason in found.items()}
        return failures

    def _merge(self, key: str, reason: _Reason) -> None:
        mine = self._reasons.setdefault(key, _Reason(reason.message))
        mine.count += reason.count
        mine.rows = (mine.rows + reason.rows)[:_ROWS_TOLD]


def reason_of(error: BertritonError) -> str:
    """Why a row could not be classified, on one line and without a place that is not the file's."""
    return _PLACE.sub("", " ".join(error.message.split()), count=1)
