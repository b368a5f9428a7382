"""docs/benchmarks.md says what the recorded run has found, and nothing is lost on the way to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bertriton_bench import Measurement, Report
from bertriton_bench.profile_export import StepTime
from bertriton_bench.report import SetSummary
from bertriton_server.machine import Machine
from comparisons.checkpoints import BERT_BASE, Shape
from comparisons.document import DOCUMENT, PLOTS, RESULTS, Results, write_results
from comparisons.figures import Figure
from comparisons.parts import FormatCosts, MemoryCurve, Rounds
from comparisons.parts.formats import FormatCost

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
FORMATS = FormatCosts(
    BERT_BASE, 437.9, (FormatCost("safetensors", 5.94, 735.4), FormatCost("model.onnx", 7.26, 1108.6))
)


def without(entry: Mapping[str, Any], derived: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != derived}


def measurement(entry: Mapping[str, Any]) -> Measurement:
    steps = tuple(StepTime(**step) for step in entry["steps"])
    return Measurement(**{**without(entry, "tokenizer_share"), "steps": steps})


def machine(entry: Mapping[str, Any]) -> Machine:
    return Machine(**{**entry, "cpu_flags": tuple(entry["cpu_flags"])})


def format_costs(entry: Mapping[str, Any]) -> FormatCosts:
    costs = tuple(FormatCost(**cost) for cost in entry["costs"])
    return FormatCosts(Shape(**entry["shape"]), entry["weights_megabytes"], costs)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The results of the last run, as they lie in the repository."""
    found: dict[str, Any] = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    return {"formats": None} | found


@pytest.fixture(scope="module")
def results(recorded: dict[str, Any]) -> Results:
    """The same as objects."""
    sweep = recorded["sweep"]
    report = {
        "machine": machine(sweep["machine"]),
        "sets": tuple(SetSummary(**entry) for entry in sweep["sets"]),
        "measurements": tuple(map(measurement, sweep["measurements"])),
    }
    memory = recorded["memory"]
    parts = {
        "machine": machine(recorded["machine"]),
        "figures": tuple(Figure(**without(figure, "is_met")) for figure in recorded["figures"]),
        "rounds": tuple(Rounds(**entry) for entry in recorded["rounds"]),
        "sweep": Report(**{**sweep, **report}),
        "memory": MemoryCurve(tuple(memory["requests"]), tuple(memory["megabytes"])),
        "formats": format_costs(recorded["formats"]) if recorded["formats"] else None,
    }
    return Results(**{**recorded, **parts})


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
