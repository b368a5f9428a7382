"""docs/benchmarks.md says what the recorded run has found, and nothing is lost on the way to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comparisons.checkpoints import BERT_BASE
from comparisons.document import write_results
from comparisons.figures import Figure
from comparisons.parts import FormatCost, FormatCosts
from comparisons.results import (
    DOCUMENT,
    PLOTS,
    RESULTS,
    Measured,
    Results,
    checked_out,
    measured,
    read_results,
)
from comparisons.run import PARTS

ROOT = Path(__file__).parents[3]
# Whose results lie beside the last ones, NAME.json, and have a page, docs/benchmarks/NAME.md.
OTHER_MACHINES = ("xeon-with-amx", "epyc-with-avx2")
FORMATS = FormatCosts(
    BERT_BASE, 437.9, (FormatCost("safetensors", 5.94, 735.4), FormatCost("model.onnx", 7.26, 1108.6))
)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The results of the last runs, as they lie in the repository."""
    found: dict[str, Any] = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def results() -> Results:
    """The same as objects."""
    return read_results(ROOT)


@pytest.mark.parametrize("machine", OTHER_MACHINES)
def test_the_page_of_another_machine_says_what_was_recorded_there(machine: str, tmp_path: Path) -> None:
    (tmp_path / RESULTS).parent.mkdir(parents=True)
    shutil.copyfile((ROOT / RESULTS).with_name(f"{machine}.json"), tmp_path / RESULTS)

    write_results(read_results(tmp_path), tmp_path)

    page = ROOT / PLOTS / f"{machine}.md"
    assert (tmp_path / DOCUMENT).read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_the_page_says_what_was_recorded(results: Results, recorded: dict[str, Any], tmp_path: Path) -> None:
    write_results(results, tmp_path)

    assert json.loads((tmp_path / RESULTS).read_text(encoding="utf-8")) == recorded
    written = (tmp_path / DOCUMENT).read_text(encoding="utf-8").splitlines()
    page = (ROOT / DOCUMENT).read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line.startswith("|")] == [
        line for line in page if line.startswith("|")
    ]
    assert {plot.name for plot in (tmp_path / PLOTS).iterdir()} == {
        "latency.png",
        "memory.png",
        "throughput.png",
    }


def test_formats_have_a_table(results: Results, tmp_path: Path) -> None:
    write_results(replace(results, sweep=None, memory=None, formats=FORMATS), tmp_path)

    page = (tmp_path / DOCUMENT).read_text(encoding="utf-8")
    assert "12 layers of 768, 438 MB of weights, to fp32:" in page
    assert "| safetensors | 5.9 | 735 | 1.7 |" in page
    assert "| model.onnx | 7.3 | 1,109 | 2.5 |" in page
    assert json.loads((tmp_path / RESULTS).read_text(encoding="utf-8"))["formats"]["costs"][1] == {
        "format": "model.onnx",
        "seconds": 7.26,
        "megabytes": 1108.6,
    }


def test_what_was_not_measured_has_no_place(results: Results, tmp_path: Path) -> None:
    write_results(replace(results, rounds=(), sweep=None, memory=None, formats=None), tmp_path)

    page = (tmp_path / DOCUMENT).read_text(encoding="utf-8")
    assert "## What is claimed" in page
    for heading in ("under load", "## Memory", "## Export", "Hugging Face pipeline: "):
        assert heading not in page
    assert not list((tmp_path / PLOTS).iterdir())


def test_what_is_read_again_is_what_was_written(results: Results, tmp_path: Path) -> None:
    all_parts = replace(results, formats=FORMATS)
    write_results(all_parts, tmp_path)

    assert read_results(tmp_path) == all_parts


def test_nothing_is_read_where_nothing_was_measured(tmp_path: Path) -> None:
    assert read_results(tmp_path) == Results(())


def of_part(part: str, value: float, commit: str, machine: Any) -> Results:
    """A part that has come to one figure."""
    entry = Measured(part, commit, "2026-11-26", 1.5, "reviews.csv", machine)
    return Results((entry,), (Figure(f"of {part}", value, "x", part=part),))


def test_a_part_measured_anew_takes_the_place_of_what_was_there(results: Results, tmp_path: Path) -> None:
    machine = results.measured[0].machine
    kept = of_part("memory", 1.0, "old", machine).updated(of_part("sweep", 2.0, "old", machine), list(PARTS))

    found = kept.updated(of_part("memory", 3.0, "new", machine), list(PARTS))
    write_results(found, tmp_path)

    assert [(figure.part, figure.value) for figure in found.figures] == [("sweep", 2.0), ("memory", 3.0)]
    page = (tmp_path / DOCUMENT).read_text(encoding="utf-8")
    assert "| sweep | old | 2026-11-26 | 1.5 | reviews.csv |\n| memory | new |" in page


def test_a_part_that_is_no_more_is_dropped(results: Results) -> None:
    machine = results.measured[0].machine
    old = of_part("abacus", 1.0, "old", machine)

    assert old.updated(of_part("memory", 3.0, "new", machine), list(PARTS)) == of_part(
        "memory", 3.0, "new", machine
    )


def test_each_machine_has_its_parts(results: Results, tmp_path: Path) -> None:
    machine = replace(results.measured[0].machine, processor="Abacus")
    other = replace(machine, processor="Slide rule")
    found = of_part("memory", 1.0, "a", machine).updated(of_part("client", 1.0, "a", other), list(PARTS))

    write_results(found, tmp_path)

    page = (tmp_path / DOCUMENT).read_text(encoding="utf-8")
    assert "(memory)." in next(line for line in page.splitlines() if line.startswith("Abacus"))
    assert "(client)." in next(line for line in page.splitlines() if line.startswith("Slide rule"))


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_results_say_their_commit_and_whether_more_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    code, page = tmp_path / "code.py", tmp_path / DOCUMENT
    page.parent.mkdir()
    for file in (code, page):
        file.write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    commit = git(tmp_path, "rev-parse", "--short=10", "HEAD")

    page.write_text("2\n", encoding="utf-8")
    assert measured("memory", 1.0, "x", tmp_path).commit == commit
    code.write_text("2\n", encoding="utf-8")
    assert checked_out(tmp_path) == f"{commit}, with changes"


def test_outside_a_repository_no_commit_is_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(SystemExit, match="which commit is measured is not known"):
        checked_out(tmp_path)
