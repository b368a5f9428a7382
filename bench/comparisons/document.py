"""docs/benchmarks.md and the results behind it, as one run found them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bertriton_bench.plots import plot_latency, plot_memory, plot_throughput
from bertriton_bench.report import markdown_table
from comparisons.parts import FORMATS_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bertriton_bench import Report
    from bertriton_server.machine import Machine
    from comparisons.figures import Figure
    from comparisons.parts import FormatCosts, MemoryCurve, Rounds

DOCUMENT = "docs/benchmarks.md"
PLOTS = "docs/benchmarks"
RESULTS = "bench/comparisons/results/last.json"
FIGURE_HEADER = ("what", "measured", "required", "met", "made of")

_METHOD = """\
Written by `make bench`; whoever runs it on another machine gets that machine's figures.

- Requests come from NVIDIA's perf_analyzer over gRPC, one text each. Its own record of every request is what
  the figures are made of: tokens as the network reads them, after truncation and without padding. The time
  before every slot has had an answer is left out, and so is the time after the last request was sent.
- Contenders are up at once and take turns, each after a turn of its own that does not count. A ratio is the
  median of the ratios of the rounds.
- The Hugging Face pipeline gets the same texts as a list, in the best of its batch sizes, once in float32 and
  once in bfloat16, which is the faster where the CPU multiplies it.
- ONNX Runtime in process gets them tokenised already, in the best of its batch sizes: one batch after the
  other on the server's number of threads, and a batch on every core, each on one thread.
- BERT-base has random weights, which does for time. Accuracy is that of the embedded model.
- Formats hold the same random weights. Each export runs in a process of its own, and memory is the largest
  it had resident, pages of mapped files included.
"""

_GPUS = """\
Nothing on this page has been run on a GPU: `make bench-gpu` measures agreement, packed against padded batches
and the share of the device's peak on any machine that has one."""


@dataclass(frozen=True)
class Results:
    """Everything one run of `make bench` has found; what was not asked for is missing."""

    date: str
    machine: Machine
    texts: str  # where they come from
    minutes: float
    figures: tuple[Figure, ...]
    rounds: tuple[Rounds, ...]
    sweep: Report | None
    memory: MemoryCurve | None
    formats: FormatCosts | None

    def to_dict(self) -> dict[str, Any]:
        """The results in JSON's own types."""
        document = asdict(self)
        for entry, figure in zip(document["figures"], self.figures, strict=True):
            entry["is_met"] = figure.is_met
        document["sweep"] = self.sweep.to_dict() if self.sweep else None
        return document


def write_results(results: Results, root: Path) -> None:
    """Write the document, its plots and the results as JSON below a folder."""
    for name in (PLOTS, RESULTS):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / PLOTS).mkdir(exist_ok=True)
    (root / RESULTS).write_text(json.dumps(results.to_dict(), indent=2) + "\n", encoding="utf-8")
    if results.sweep:
        plot_throughput(results.sweep.measurements, root / PLOTS / "throughput.png")
        plot_latency(results.sweep.measurements, root / PLOTS / "latency.png")
    if results.memory:
        plot_memory(results.memory.requests, results.memory.megabytes, root / PLOTS / "memory.png")
    (root / DOCUMENT).write_text("\n".join(_lines(results)) + "\n", encoding="utf-8")


def _lines(results: Results) -> Iterator[str]:
    yield from ("# Benchmarks", "", _METHOD, "## Machine", "")
    yield f"{results.machine}. {results.date}, {results.minutes:.0f} minutes; texts: {results.texts}."
    yield ", ".join(f"{name} {version}" for name, version in results.machine.packages.items()) + "."
    if results.rounds:
        yield f"Hugging Face pipeline: {results.rounds[0].versions}, CPU."
    yield from ("", "## What is claimed", "")
    yield from markdown_table(FIGURE_HEADER, [figure.row for figure in results.figures], words=(0, 3, 4))
    if results.sweep:
        yield from ("", "## The embedded model under load, int8", "", *results.sweep.tables(), "")
        yield from (
            "![tokens per second](benchmarks/throughput.png)",
            "",
            "![latency](benchmarks/latency.png)",
        )
    if results.memory:
        yield from ("", "## Memory", "", "![resident memory](benchmarks/memory.png)")
    if results.formats:
        yield from ("", "## Export of every format", "")
        yield f"{results.formats.shape}, {results.formats.weights_megabytes:,.0f} MB of weights, to fp32:"
        yield from ("", *markdown_table(FORMATS_HEADER, results.formats.rows))
    yield from ("", "## GPUs", "", _GPUS)
