"""All comparisons in one run; `make bench` sets up its environments and calls it.

    python -m comparisons.run --torch-python .venv-torch/bin/python [--labelled FILE] [--only PART]...

Without --only everything is measured, and docs/benchmarks.md is written anew; parts alone are printed. Their
results are kept where --output names a folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bertriton_bench import Plan, run_plan
from bertriton_bench.perf_analyzer import find_perf_analyzer
from bertriton_bench.texts import default_texts, read_texts
from bertriton_server import LocalServer, ServerConfig
from bertriton_server.machine import this_machine
from comparisons.checkpoints import BERT_BASE, NAME, Shape, bert_base, minilm
from comparisons.document import FIGURE_HEADER, Results, write_results
from comparisons.parts import (
    ClientPlan,
    Contest,
    accuracy_figure,
    client_figures,
    contest_figures,
    evaluation_figure,
    format_costs,
    memory_curve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_bench import Report
    from comparisons.checkpoints import Classifier
    from comparisons.figures import Figure
    from comparisons.parts import FormatCosts, MemoryCurve, Rounds

ROOT = Path(__file__).parents[2]

console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Options:
    """What is measured, and for how long."""

    torch_python: Path | None = None  # a Python with torch and transformers
    labelled: Path | None = None  # texts and labels; None: the package's sample reviews, without labels
    only: Sequence[str] = ()  # parts; none: all
    output: Path | None = None  # where docs/ and results are written
    rounds: int = 3  # turns of each contender
    seconds: float = 8.0  # of each turn through gRPC, about
    sweep_seconds: float = 5.0  # of each measurement under load, about
    memory_requests: int = 10_000
    accuracy_texts: int | None = None  # None: all
    evaluation_texts: int = 500
    client_calls: int = ClientPlan.calls
    client_texts: int = ClientPlan.texts
    formats_layers: int = BERT_BASE.layers
    formats_hidden: int = BERT_BASE.hidden

    @property
    def parts(self) -> list[str]:
        """In the order of PARTS, without those that need labels where there are none."""
        return [part for part in PARTS if part in (self.only or PARTS) and self._has_labels_for(part)]

    @property
    def problem(self) -> str:
        """What is missing for the parts, or nothing."""
        comparing = [] if self.torch_python else [part for part in self.parts if part in TORCH_PARTS]
        if comparing:
            return f"--torch-python is missing, for {', '.join(comparing)}"
        unlabelled = [part for part in self.only if not self._has_labels_for(part)]
        return f"--labelled is missing, for {', '.join(unlabelled)}" if unlabelled else ""

    def _has_labels_for(self, part: str) -> bool:
        return self.labelled is not None or part not in LABELLED_PARTS


class Run:
    """One run: what was asked for, and what has been found so far."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.texts = read_texts(options.labelled, "text") if options.labelled else default_texts()
        self.figures: list[Figure] = []
        self.rounds: list[Rounds] = []
        self.sweep: Report | None = None
        self.memory: MemoryCurve | None = None
        self.formats: FormatCosts | None = None

    def results(self) -> Results:
        """Measure all parts that were asked for."""
        started = time.monotonic()
        for part in self.options.parts:
            say(part)
            PARTS[part](self)
        labelled = self.options.labelled
        return Results(
            date=datetime.now(timezone.utc).date().isoformat(),
            machine=this_machine(),
            texts=labelled.name if labelled else "the package's sample reviews, joined",
            minutes=(time.monotonic() - started) / 60,
            figures=tuple(self.figures),
            rounds=tuple(self.rounds),
            sweep=self.sweep,
            memory=self.memory,
            formats=self.formats,
        )

    def compare_minilm(self) -> None:
        """The embedded classifier against all contenders."""
        self._compare(self._minilm)

    def compare_base(self) -> None:
        """BERT-base's shape against all contenders."""
        self._compare(bert_base(self.folder))

    def put_under_load(self) -> None:
        """The embedded classifier with every set of texts at every concurrency."""
        with LocalServer(ServerConfig(self._int8, stop_grace_s=0)) as server:
            plan = Plan(server.grpc_url, NAME, seconds=self.options.sweep_seconds)
            self.sweep = run_plan(plan, self.texts, on_stage=say)

    def judge_accuracy(self) -> None:
        """The embedded classifier in int8 against itself in fp32."""
        texts, labels = self._labelled(self.options.accuracy_texts)
        self.figures.append(accuracy_figure(self._minilm, texts, labels, self.folder))

    def time_evaluation(self) -> None:
        """`bertriton evaluate` against the Hugging Face pipeline."""
        texts, labels = self._labelled(self.options.evaluation_texts)
        self.figures.append(evaluation_figure(self._minilm, texts, labels, self._torch_python, self.folder))

    def watch_memory(self) -> None:
        """The network's process under texts of random length."""
        self.memory = memory_curve(self._int8, self.texts, self.options.memory_requests)
        self.figures.append(self.memory.figure)

    def time_client(self) -> None:
        """The product's clients against tritonclient and perf_analyzer."""
        plan = ClientPlan(self.options.client_calls, self.options.client_texts)
        self.figures += client_figures(self._int8, plan, find_perf_analyzer(say))

    def export_formats(self) -> None:
        """Exports from every format."""
        shape = Shape(self.options.formats_layers, self.options.formats_hidden)
        self.formats = format_costs(self.folder / "formats", shape, say)
        self.figures += self.formats.figures

    @cached_property
    def _minilm(self) -> Classifier:
        return minilm(self.folder)

    @property
    def _int8(self) -> Path:
        return self._minilm.precision_to_repository["int8"]

    @property
    def _torch_python(self) -> Path:
        assert self.options.torch_python  # noqa: S101 - `Options.problem` has told
        return self.options.torch_python

    def _labelled(self, count: int | None) -> tuple[list[str], list[str]]:
        assert self.options.labelled  # noqa: S101 - likewise
        labels = read_texts(self.options.labelled, "label")
        if len(labels) != len(self.texts):
            raise SystemExit(f"{self.options.labelled}: a row lacks its text or its label")
        return self.texts[:count], labels[:count]

    def _compare(self, classifier: Classifier) -> None:
        contest = Contest(classifier, self.texts, find_perf_analyzer(say), self.options.seconds)
        found = contest.run(self._torch_python, self.folder, self.options.rounds, say)
        self.rounds.append(found)
        self.figures += contest_figures(found)


PARTS = {
    "minilm": Run.compare_minilm,
    "base": Run.compare_base,
    "sweep": Run.put_under_load,
    "accuracy": Run.judge_accuracy,
    "evaluate": Run.time_evaluation,
    "memory": Run.watch_memory,
    "client": Run.time_client,
    "formats": Run.export_formats,
}
TORCH_PARTS = frozenset({"minilm", "base", "evaluate"})
LABELLED_PARTS = frozenset({"accuracy", "evaluate"})


def main() -> None:
    """Measure, print, and write what was found."""
    options = read_options()
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


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The options of a command line; ends the program where one is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m comparisons.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(**vars(Options()) | {"only": []})
    add = parser.add_argument
    add("--torch-python", type=Path, help="a Python with torch and transformers")
    add("--labelled", type=Path, help="reviews with columns text and label (csv, parquet)")
    add("--only", action="append", choices=PARTS, help="measure this part alone; may be repeated")
    add("--rounds", type=int, help="turns of each contender")
    add("--seconds", type=float, help="of each turn through gRPC, about")
    add("--sweep-seconds", type=float, help="of each measurement under load, about")
    add("--memory-requests", type=int, help="while memory is watched")
    add("--accuracy-texts", type=int, help="use so many of the labelled texts [default: all]")
    add("--evaluation-texts", type=int, help="likewise")
    add("--client-calls", type=int, help="calls of each client, one after the other")
    add("--client-texts", type=int, help="texts that AsyncClient and perf_analyzer send")
    add("--formats-layers", type=int, help="of the network that is exported from every format")
    add("--formats-hidden", type=int, help="its width, a multiple of 64")
    add("--output", type=Path, help="where docs/ and bench/comparisons/results/ are written")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.problem:
        parser.error(options.problem)
    return options


if __name__ == "__main__":
    main()
