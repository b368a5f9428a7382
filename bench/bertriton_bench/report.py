"""One report of a benchmark: as JSON for programs, as Markdown with plots for people."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from bertriton_bench.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from bertriton_bench.measurement import Measurement
    from bertriton_bench.texts import TextSet
    from bertriton_server.machine import Machine

RATE_HEADER: Final = ("texts", "in flight", "texts/s", "tokens/s", "p50 ms", "p95 ms", "p99 ms")
STEP_HEADER: Final = (
    "texts",
    "in flight",
    "tokenizer queue ms",
    "tokenizer compute ms",
    "network queue ms",
    "network compute ms",
    "tokenizer's share",
)


@dataclass(frozen=True)
class SetSummary:
    """Number and lengths of a set of texts."""

    name: str
    texts: int
    mean_tokens: float
    min_tokens: int
    max_tokens: int

    @classmethod
    def of(cls, text_set: TextSet) -> SetSummary:
        """Summarise a set."""
        counts = text_set.token_counts
        return cls(text_set.name, len(counts), text_set.mean_tokens, min(counts), max(counts))


@dataclass(frozen=True)
class Report:
    """The results of one benchmark of one server."""

    model: str  # name of the classifier
    server: str  # name and version, as the server gives them
    checkpoint_sha256: str  # of the weights that were exported
    max_length: int  # tokens that the classifier reads of a text
    machine: Machine  # the machine that sent the requests
    sets: tuple[SetSummary, ...]  # the texts that were sent, by length
    measurements: tuple[Measurement, ...]  # one for each set and number of requests in flight

    def to_dict(self) -> dict[str, Any]:
        """The report as types that JSON knows."""
        document = dataclasses.asdict(self)
        for entry, measurement in zip(document["measurements"], self.measurements, strict=True):
            entry["tokenizer_share"] = measurement.tokenizer_share
        return document

    def to_markdown(self, plots: Sequence[str] = ()) -> str:
        """The report as a Markdown page; `plots` are links to images."""
        return "\n".join(
            [
                f"# Benchmark of `{self.model}`",
                "",
                f"Served by {self.server}; requests of one text over gRPC, sent by perf_analyzer.",
                f"Requests were sent from: {self.machine}.",
                "",
                *self.tables(),
                *(f"\n![{plot}]({plot})" for plot in plots),
                "",
            ]
        )

    def tables(self) -> list[str]:
        """The report's Markdown tables, as lines."""
        sets = [
            (each.name, each.texts, f"{each.mean_tokens:.0f}", each.min_tokens, each.max_tokens)
            for each in self.sets
        ]
        return [
            *markdown_table(("texts", "number", "mean tokens", "least", "most"), sets),
            "",
            *markdown_table(RATE_HEADER, map(rate_row, self.measurements)),
            "",
            "Average time of a request in each step. In the pip-only server, network compute ends when a",
            "core has taken the request. The tokenizer's share is its part of the median request:",
            "",
            *markdown_table(STEP_HEADER, map(step_row, self.measurements)),
        ]


def rate_row(measurement: Measurement) -> tuple[str, ...]:
    """One measurement under RATE_HEADER."""
    return (
        measurement.texts,
        str(measurement.concurrency),
        f"{measurement.texts_per_s:,.1f}",
        f"{measurement.tokens_per_s:,.0f}",
        f"{measurement.p50_ms:,.1f}",
        f"{measurement.p95_ms:,.1f}",
        f"{measurement.p99_ms:,.1f}",
    )


def step_row(measurement: Measurement) -> tuple[str, ...]:
    """One measurement under STEP_HEADER."""
    times = [f"{time:,.2f}" for step in measurement.steps for time in (step.queue_ms, step.compute_ms)]
    return (
        measurement.texts,
        str(measurement.concurrency),
        *times,
        f"{measurement.tokenizer_share:.1%}",
    )


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, words: Collection[int] = (0,)
) -> list[str]:
    """The lines of a table; all but the columns of words are right-aligned."""
    rule = ["---" if column in words else "---:" for column in range(len(header))]
    return [f"| {' | '.join(map(str, line))} |" for line in (header, rule, *rows)]


def require_folder_of(file: Path) -> None:
    """See before anything is measured that a report has a place.

    Raises:
        ReportError: the file's folder is not there.
    """
    if not file.parent.is_dir():
        raise ReportError(f"cannot write {file}: there is no folder {file.parent}")


def plot_files(file: Path) -> list[Path]:
    """The plots beside a report in Markdown: rates, and times."""
    return [file.with_name(f"{file.stem}-{kind}.png") for kind in ("throughput", "latency")]


def require_plots() -> None:
    """See that there is what draws, before anything is measured.

    Raises:
        ReportError: it is not installed.
    """
    try:
        import_module("bertriton_bench.plots")
    except ModuleNotFoundError as exc:
        raise ReportError(f"{exc.name} is not installed: pip install 'bertriton[bench]'") from exc


def write_json(report: Report, file: Path) -> None:
    """Write the report for programs.

    Raises:
        ReportError: the file cannot be written.
    """
    _write(file, json.dumps(report.to_dict(), indent=2) + "\n")


def write_markdown(report: Report, file: Path) -> None:
    """Write the report for people, its plots beside it.

    Raises:
        ReportError: a file cannot be written.
    """
    # Matplotlib makes a cache where it is imported, and is slow to come.
    from bertriton_bench.plots import plot_latency, plot_throughput  # noqa: PLC0415

    images = plot_files(file)
    try:
        plot_throughput(report.measurements, images[0])
        plot_latency(report.measurements, images[1])
    except OSError as exc:
        raise ReportError(f"cannot write {exc.filename}: {exc.strerror}") from exc
    _write(file, report.to_markdown([image.name for image in images]))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ReportError(f"cannot write {file}: {exc.strerror}") from exc
