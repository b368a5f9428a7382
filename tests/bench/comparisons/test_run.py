"""What a command line asks for is measured, and what it lacks is told before anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comparisons import run
from comparisons.run import PARTS, Options, Run, read_options

if TYPE_CHECKING:
    from pathlib import Path

LABELLED = "text,label\nA fine film.,pos\nDull.,neg\nA joy.,pos\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--torch-python is missing, for minilm, base\n"),
        (["--only", "evaluate", "--labelled", "x.csv"], "--torch-python is missing, for evaluate\n"),
        (["--only", "accuracy", "--only", "memory"], "--labelled is missing, for accuracy\n"),
    ],
)
def test_what_a_part_needs_is_asked_for(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read_options(arguments)

    assert capsys.readouterr().err.endswith(message)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--only", "formats", "--only", "memory"], ["memory", "formats"]),
        (["--torch-python", "python"], ["minilm", "base", "sweep", "memory", "client", "formats"]),
        (["--torch-python", "python", "--labelled", "x.csv"], list(PARTS)),
    ],
)
def test_parts_are_those_asked_for_or_all_that_can_be_measured(
    arguments: list[str], parts: list[str]
) -> None:
    assert read_options(arguments).parts == parts


def test_what_is_not_said_is_the_default() -> None:
    assert read_options(["--only", "formats", "--rounds", "1"]) == Options(only=["formats"], rounds=1)


def test_texts_and_labels_stay_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "labelled.csv"
    file.write_text(LABELLED, encoding="utf-8")
    asked = []
    monkeypatch.setattr(run, "minilm", lambda _: "classifier")
    monkeypatch.setattr(run, "accuracy_figure", lambda *arguments: asked.append(arguments))

    Run(Options(labelled=file, only=["accuracy"], accuracy_texts=2), tmp_path).results()

    assert asked == [("classifier", ["A fine film.", "Dull."], ["pos", "neg"], tmp_path)]


def test_a_row_without_its_label_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "labelled.csv"
    file.write_text(LABELLED.replace("neg", ""), encoding="utf-8")

    with pytest.raises(SystemExit, match="a row lacks its text or its label"):
        Run(Options(labelled=file, only=["accuracy"]), tmp_path).results()
