"""A minute of `make soak`: whatever else is asked, innocent clients get the same bits, and memory stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soak import soak

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60.0


def test_a_minute_of_mixed_traffic_changes_no_answer(imdb_repository: Path) -> None:
    verdict = soak(SECONDS, imdb_repository)

    assert verdict.wrong == []
    assert verdict.failed == []
    assert verdict.holds
    assert verdict.counts["answered"] > 0
    assert verdict.counts["hostile requests"] > 0
