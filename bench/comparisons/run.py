"""The project's whole comparison in one run; `make bench` sets up its environments and calls it.

    python bench/comparisons/run.py --torch-python .venv-torch/bin/python [--labelled FILE] [--only PART]...

Without --only everything is measured, and docs/benchmarks.md is written anew; parts alone are printed. Their
results are kept where --output names a folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from accuracy import accuracy_figure
from classifiers import NAME, bert_base, minilm
from client_overhead import overhead
from comparison import Contest, figures
from document import FIGURE_HEADER, Results, write_results
from figures import Figure
from memory import memory_curve
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bertriton_bench import Plan, run_plan
from bertriton_bench.machine import this_machine
from bertriton_bench.perf_analyzer import find_perf_analyzer
from bertriton_bench.texts import default_texts, read_texts
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from classifiers import Classifier
    from comparison import Rounds

    from bertriton_bench import Report

ROOT = Path(__file__).parents[2]
PARTS = ("minilm", "base", "sweep", "accuracy", "memory", "client")
CLIENT_CALLS = 1000

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Run:
    """One run: what was asked for, and what has been found so far."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.texts = read_texts(options.labelled, "text") if options.labelled else default_texts()
        self.minilm = minilm(folder)
        self.figures: list[Figure] = []
        self.rounds: list[Rounds] = []

    def results(self) -> Results:
        """Measure all parts that were asked for."""
        started = time.monotonic()
        parts = self.options.only or PARTS
        for part in ("minilm", "base"):
            if part in parts:
                self._compare(self.minilm if part == "minilm" else bert_base(self.folder))
        sweep = self._sweep() if "sweep" in parts else None
        if "accuracy" in parts and self.options.labelled:
            self._judge_accuracy()
        curve = None
        if "memory" in parts:
            say("memory")
            curve = memory_curve(self._int8, self.texts, self.options.memory_requests)
            self.figures.append(curve.figure)
        if "client" in parts:
            self._time_client()
        return Results(
            date=datetime.now(timezone.utc).date().isoformat(),
            machine=this_machine(),
            texts=self.options.labelled.name
            if self.options.labelled
            else "the package's sample reviews, joined",
            minutes=(time.monotonic() - started) / 60,
            figures=tuple(self.figures),
            rounds=tuple(self.rounds),
            sweep=sweep,
            memory=curve,
        )

    @property
    def _int8(self) -> Path:
        return self.minilm.precision_to_repository["int8"]

    def _compare(self, classifier: Classifier) -> None:
        contest = Contest(classifier, self.texts, find_perf_analyzer(say), self.options.seconds)
        found = contest.run(self.options.torch_python, self.folder, self.options.rounds, say)
        self.rounds.append(found)
        self.figures += figures(found)

    def _sweep(self) -> Report:
        say("every set at every concurrency")
        with LocalServer(ServerConfig(self._int8, stop_grace_s=0)) as server:
            plan = Plan(server.grpc_url, NAME, seconds=self.options.sweep_seconds)
            return run_plan(plan, self.texts, on_stage=say)

    def _judge_accuracy(self) -> None:
        say("accuracy")
        labels = read_texts(self.options.labelled, "label")
        if len(labels) != len(self.texts):
            raise SystemExit(f"{self.options.labelled}: a row lacks its text or its label")
        count = self.options.accuracy_texts or len(labels)
        self.figures.append(accuracy_figure(self.minilm, self.texts[:count], labels[:count], self.folder))

    def _time_client(self) -> None:
        say("the client's own time")
        with LocalServer(ServerConfig(self._int8, stop_grace_s=0)) as server:
            found = overhead(server.grpc_url, NAME, CLIENT_CALLS)
        detail = f"classify {found['classify_us']:.0f} us; tritonclient's infer {found['infer_us']:.0f} us"
        self.figures.append(
            Figure(
                "MiniLM: p50 of Client.classify above tritonclient's infer",
                found["overhead_us"],
                "us",
                detail=detail,
            )
        )


def main() -> None:
    """Measure, print, and write what was found."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bertriton-bench-") as folder:
        results = Run(options, Path(folder)).results()
    _print(results.figures)
    output = options.output or (None if options.only else ROOT)
    if output:
        write_results(results, output)


def say(message: str) -> None:
    """Tell on stderr what is being done."""
    console.print(escape(message))


def _print(found: Sequence[Figure]) -> None:
    table = Table(*FIGURE_HEADER)
    for figure in found:
        table.add_row(*figure.row)
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--torch-python", type=Path, required=True, help="a Python with torch and transformers"
    )
    parser.add_argument("--labelled", type=Path, help="reviews with columns text and label (csv, parquet)")
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="measure this part alone; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each turn through gRPC, about")
    parser.add_argument(
        "--sweep-seconds", type=float, default=5.0, help="of each measurement under load, about"
    )
    parser.add_argument("--memory-requests", type=int, default=10_000)
    parser.add_argument("--accuracy-texts", type=int, help="use so many of the labelled texts [default: all]")
    parser.add_argument("--output", type=Path, help="where docs/ and bench/comparisons/results/ are written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
