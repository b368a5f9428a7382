"""What a command line asks for is measured, and what it lacks is told before anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comparisons import run
from comparisons.contenders import HUGGING_FACE, OPENVINO
from comparisons.figures import Figure
from comparisons.parts import Rounds
from comparisons.results import Results, read_results
from comparisons.run import PARTS, Options, Run, read_options

if TYPE_CHECKING:
    from pathlib import Path

LABELLED = "text,label\nA fine film.,pos\nDull.,neg\nA joy.,pos\n"


TORCH = ["--torch-python", "python"]
INFINITY = ["--infinity-python", "python"]
WITHOUT_LABELS = [part for part in PARTS if part not in ("accuracy", "evaluate")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "minilm-long", "--only", "memory"], "--torch-python is missing, for minilm-long\n"),
        (
            ["--only", "evaluate", "--labelled", "x.csv"],
            "--torch-python is missing, for evaluate\n",
        ),
        (
            [*TORCH, "--only", "base-reviews", "--only", "modernbert"],
            "--infinity-python is missing, or --peer for others, for base-reviews\n",
        ),
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
        ([*TORCH, *INFINITY], WITHOUT_LABELS),
        ([*TORCH, "--peer", OPENVINO], WITHOUT_LABELS),
        ([*TORCH, *INFINITY, "--labelled", "x.csv"], list(PARTS)),
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

    def accuracy_figure(*arguments: Any) -> Figure:
        asked.append(arguments)
        return Figure("accuracy", 0.1, "points")

    monkeypatch.setattr(run, "accuracy_figure", accuracy_figure)

    found = Run(Options(labelled=file, only=["accuracy"], accuracy_texts=2), tmp_path).results()

    assert found.figures == (Figure("accuracy", 0.1, "points", part="accuracy"),)
    assert [(entry.part, entry.texts) for entry in found.measured] == [("accuracy", "labelled.csv")]
    assert asked == [("classifier", ["A fine film.", "Dull."], ["pos", "neg"], tmp_path)]


def test_a_row_without_its_label_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "labelled.csv"
    file.write_text(LABELLED.replace("neg", ""), encoding="utf-8")

    with pytest.raises(SystemExit, match="a row lacks its text or its label"):
        Run(Options(labelled=file, only=["accuracy"]), tmp_path).results()


def test_a_contest_is_as_its_part_says_and_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Contest:
        def __init__(self, *given: Any) -> None:
            classifier, _, _, plan = given
            asked.append((classifier, plan.part, plan.texts, plan.number, plan.rounds, plan.peers))

        def run(self, *_: Any) -> Rounds:
            return Rounds("base-snippets", "BERT-base shape", "snippets", 8, 28.0)

    monkeypatch.setattr(run, "Contest", Contest)
    monkeypatch.setattr(run, "find_perf_analyzer", lambda _: "analyzer")
    monkeypatch.setattr(run, "bert_base", lambda _: "base")
    arguments = ["--only", "base-snippets", "--peer", HUGGING_FACE, "--texts", "8", "--rounds", "1"]

    found = Run(read_options([*TORCH, *arguments]), tmp_path).results()

    assert asked == [("base", "base-snippets", "snippets", 8, 1, (HUGGING_FACE,))]
    assert [entry.part for entry in found.rounds] == ["base-snippets"]


def test_parts_alone_are_merged_into_the_results_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call measures one part, and the folder has both."""
    part_to_value = {"client": 1.0, "memory": 2.0}
    for part, value in part_to_value.items():
        monkeypatch.setitem(
            PARTS, part, lambda _, value=value: Results((), (Figure("of a part", value, "x"),))
        )
        monkeypatch.setattr("sys.argv", ["run", "--only", part, "--output", str(tmp_path)])
        run.main()

    kept = read_results(tmp_path)

    assert [(figure.part, figure.value) for figure in kept.figures] == [("memory", 2.0), ("client", 1.0)]
