"""docs/benchmarks.md and the results behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bertriton_bench.plots import plot_latency, plot_memory, plot_throughput
from bertriton_bench.report import markdown_table
from comparisons.parts import FORMATS_HEADER
from comparisons.results import DOCUMENT, PLOTS, RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bertriton_server.machine import Machine
    from comparisons.results import Measured, Results

FIGURE_HEADER = ("what", "measured", "required", "met", "made of")
PARTS_HEADER = ("part", "commit", "date", "minutes", "texts")

_METHOD = """\
Written by `make bench`; whoever runs it on another machine gets that machine's figures.

- Lists go through `Client.classify`, with server, tokenizer and client on the same cores. Single texts come
  from NVIDIA's perf_analyzer over gRPC, one a request. Its own record of every request is what the figures
  are made of: tokens as the network reads them, after truncation and without padding. The time before every
  slot has had an answer is left out, and so is the time after the last request was sent.
- Contenders are up at once and take turns, each after a warm-up that does not count. A ratio is the median of
  the ratios of the rounds. The first round tries every setting of a contender, the others its best one; what
  is said to be in flight 1 or 64 times, and single texts to Infinity, are of the first round alone.
- OpenVINO, CTranslate2 and the Hugging Face pipeline are in processes of their own, without a server. The
  first two get token ids, sorted by length: OpenVINO's int8 is NNCF's post-training quantisation for
  transformers, by 64 reviews that are not timed, a stream a core, in bf16 or f32 beside int8, a text or 8 at
  a time; CTranslate2's classifier is NumPy's, since it has none. The pipeline gets texts, in bfloat16 or
  float32. Infinity's torch engine is asked over HTTP, in either dtype.
- ONNX Runtime in process gets the same graph and token ids, in the best of its batch sizes: one batch after
  the other on the server's number of threads, and a batch on every core, each on one thread.
- The int8 ceiling is what large MatMulInteger products reach on the server's threads, in the same rounds. A
  share of it counts the operations of the linear layers alone: attention, tokenizer and server are the rest.
- Snippets are runs of 6 to 31 words. "Same label" is the share of texts that get the label int8 gives here.
- BERT-base, DeBERTa-v3-base and ModernBERT-base have random weights, which does for time, and are exported
  without the gate; all have the embedded model's vocabulary. Accuracy is that of the embedded model.
- Formats hold the same random weights. Each export runs in a process of its own, and memory is the largest
  it had resident, pages of mapped files included.
"""

_GPUS = """\
Nothing on this page has been run on a GPU. On a machine that has one, `make bench-gpu` measures agreement
with the float64 reference, packed against padded batches, and the share of the device's peak."""


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
    yield from _machines(results.measured)
    versions = {name: text for found in results.rounds for name, text in found.versions.items()}
    yield from (f"{name}: {text}." for name, text in versions.items())
    rows = [
        (entry.part, entry.commit, entry.date, _minutes(entry), entry.texts) for entry in results.measured
    ]
    yield from ("", *markdown_table(PARTS_HEADER, rows, words=(0, 1, 2, 4)))
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


def _machines(entries: Sequence[Measured]) -> Iterator[str]:
    """Each machine with its packages, and which parts were measured there where there is more than one."""
    machines: list[Machine] = []
    for entry in entries:
        if entry.machine not in machines:
            machines.append(entry.machine)
    for machine in machines:
        parts = ", ".join(entry.part for entry in entries if entry.machine == machine)
        yield f"{machine}." if len(machines) == 1 else f"{machine} ({parts})."
        yield ", ".join(f"{name} {version}" for name, version in machine.packages.items()) + "."


def _minutes(entry: Measured) -> str:
    return "" if entry.minutes is None else f"{entry.minutes:.1f}"
