"""What is printed is whole where no terminal's width bounds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bertriton_evaluate.pages import print_report

if TYPE_CHECKING:
    import pytest

    from bertriton_evaluate import Evaluation


def test_nothing_is_cut_in_a_pipe(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels of 60 letters were cut to a third, and texts to nothing, at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    labels = tuple(f"{label:_<60}" for label in evaluation.metrics.labels)
    long = replace(evaluation, metrics=replace(evaluation.metrics, labels=labels))

    print_report(long)

    printed = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    assert all(printed.count(label) >= 2 for label in labels)  # of a row, and of a column
    assert evaluation.comparison
    assert all(" ".join(each.text.split()) in printed for each in evaluation.comparison.most_different)
    # What has the room that is left on a terminal filled each of its lines with a million spaces.
    assert max(map(len, printed.splitlines())) < 2000
