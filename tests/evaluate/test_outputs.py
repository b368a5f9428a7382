"""Where `bertriton evaluate` writes: over nothing that would be missed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

REVIEWS = Path(__file__).parent.parent / "data" / "reviews.csv"


@pytest.fixture
def sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when a text is sent."""
    monkeypatch.setattr(Client, "classify_iter", lambda *_, **__: pytest.fail("a text was sent"))


def _failure(result: Result) -> str:
    """The one line of a command that failed."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return str(line)


@pytest.mark.usefixtures("sends_nothing")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--html", "in.csv"), "in.csv is the input itself, which would be lost"),
        (("--html", "linked.csv"), "linked.csv is the input itself, which would be lost"),
        (("--output", "in.csv", "--overwrite"), "in.csv is the input itself, which would be lost"),
        (("--output", "x.csv", "--html", "x.csv"), "two outputs are to be x.csv, and one would be lost"),
        (("--output", "x.csv", "--html", "./x.csv"), "two outputs are to be x.csv, and one would be lost"),
        (("--compare", "said.csv", "--html", "said.csv"), "said.csv is the input itself"),
        (("--compare", "said.csv", "--output", "said.csv", "--overwrite"), "said.csv is the input itself"),
        (("--update-card", "card.md", "--html", "card.md"), "two outputs are to be card.md"),
    ],
    ids=str,
)
def test_no_output_replaces_an_input_or_another_output(
    evaluate: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(REVIEWS, "in.csv")
    Path("linked.csv").symlink_to("in.csv")
    for name in ("said.csv", "card.md"):
        Path(name).write_text("precious")

    assert problem in _failure(evaluate("--data", "in.csv", *arguments))

    assert Path("in.csv").read_bytes() == REVIEWS.read_bytes()
    assert [Path(name).read_text() for name in ("said.csv", "card.md")] == ["precious", "precious"]


@pytest.mark.usefixtures("sends_nothing")
def test_a_folder_of_parts_that_is_somebody_elses_is_left_as_it_is(
    evaluate: Callable[..., Result], tmp_path: Path
) -> None:
    thesis = tmp_path / "said.jsonl.partial" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("precious")

    failure = _failure(evaluate("--data", REVIEWS, "--output", tmp_path / "said.jsonl", "--overwrite"))

    assert "holds 'thesis.txt', which is of no job" in failure
    assert thesis.read_text() == "precious"


def test_an_output_that_is_there_stays_as_it_is(evaluate: Callable[..., Result], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("precious")

    assert "exists already" in _failure(evaluate("--data", REVIEWS, "--output", output))
    assert output.read_text() == "precious"
    assert evaluate("--data", REVIEWS, "--output", output, "--overwrite").exit_code == 0
