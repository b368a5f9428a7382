"""What `make bench` has found, part by part; a part measured anew takes the place of what it found before."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bertriton_bench import Measurement, Report
from bertriton_bench.profile_export import StepTime
from bertriton_bench.report import SetSummary
from bertriton_server.machine import Machine, this_machine
from comparisons.checkpoints import Shape
from comparisons.figures import Figure
from comparisons.parts import FormatCost, FormatCosts, MemoryCurve, Rounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DOCUMENT = "docs/benchmarks.md"
PLOTS = "docs/benchmarks"
RESULTS = "bench/comparisons/results/last.json"
COMMIT_DIGITS = 10


@dataclass(frozen=True)
class Measured:
    """When, where and on what a part was measured."""

    part: str
    commit: str
    date: str
    minutes: float | None  # None: not recorded
    texts: str  # where they come from
    machine: Machine


@dataclass(frozen=True)
class Results:
    """All parts that have been measured; what was not asked for is missing."""

    measured: tuple[Measured, ...]
    figures: tuple[Figure, ...] = ()
    rounds: tuple[Rounds, ...] = ()
    sweep: Report | None = None
    memory: MemoryCurve | None = None
    formats: FormatCosts | None = None

    def to_dict(self) -> dict[str, Any]:
        """The results in JSON's own types."""
        document = asdict(self)
        for entry, figure in zip(document["figures"], self.figures, strict=True):
            entry["is_met"] = figure.is_met
        document["sweep"] = self.sweep.to_dict() if self.sweep else None
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Results:
        """What `to_dict` has made."""
        sweep, memory, formats = document["sweep"], document["memory"], document["formats"]
        return cls(
            measured=tuple(
                Measured(**{**entry, "machine": _machine(entry["machine"])}) for entry in document["measured"]
            ),
            figures=tuple(Figure(**_without(entry, "is_met")) for entry in document["figures"]),
            rounds=tuple(Rounds(**entry) for entry in document["rounds"]),
            sweep=_report(sweep) if sweep else None,
            memory=MemoryCurve(*map(tuple, memory.values())) if memory else None,
            formats=_format_costs(formats) if formats else None,
        )

    def updated(self, newer: Results, parts: Sequence[str]) -> Results:
        """These, with what has been measured anew in its place; parts in the order of `parts`."""
        anew = {entry.part for entry in newer.measured}
        kept = [part for part in parts if part not in anew]

        def joined(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
            entries = [entry for entry in old if entry.part in kept] + list(new)
            return tuple(sorted(entries, key=lambda entry: parts.index(entry.part)))

        return replace(
            self,
            measured=joined(self.measured, newer.measured),
            figures=joined(self.figures, newer.figures),
            rounds=joined(self.rounds, newer.rounds),
            sweep=newer.sweep or self.sweep,
            memory=newer.memory or self.memory,
            formats=newer.formats or self.formats,
        )


def read_results(root: Path) -> Results:
    """What is kept below a folder; nothing where there is no such file."""
    file = root / RESULTS
    if not file.exists():
        return Results(())
    return Results.from_dict(json.loads(file.read_text(encoding="utf-8")))


def measured(part: str, minutes: float, texts: str, root: Path) -> Measured:
    """A part that has just been measured here."""
    today = datetime.now(timezone.utc).date().isoformat()
    return Measured(part, checked_out(root), today, minutes, texts, this_machine())


def checked_out(root: Path) -> str:
    """The commit of a folder, and whether files differ from it but for those that the benchmark writes."""
    commit = _git(root, "rev-parse", f"--short={COMMIT_DIGITS}", "HEAD")
    written = [f":(exclude){path}" for path in (DOCUMENT, PLOTS, RESULTS)]
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return f"{commit}, with changes" if changes else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (its own command)
    if done.returncode:
        raise SystemExit(f"{root}: which commit is measured is not known: {done.stderr.strip()}")
    return done.stdout.strip()


def _without(entry: Mapping[str, Any], derived: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != derived}


def _machine(entry: Mapping[str, Any]) -> Machine:
    return Machine(**{**entry, "cpu_flags": tuple(entry["cpu_flags"])})


def _report(entry: Mapping[str, Any]) -> Report:
    made = {
        "machine": _machine(entry["machine"]),
        "sets": tuple(SetSummary(**summary) for summary in entry["sets"]),
        "measurements": tuple(map(_measurement, entry["measurements"])),
    }
    return Report(**{**entry, **made})


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    steps = tuple(StepTime(**step) for step in entry["steps"])
    return Measurement(**{**_without(entry, "tokenizer_share"), "steps": steps})


def _format_costs(entry: Mapping[str, Any]) -> FormatCosts:
    costs = tuple(FormatCost(**cost) for cost in entry["costs"])
    return FormatCosts(Shape(**entry["shape"]), entry["weights_megabytes"], costs)
