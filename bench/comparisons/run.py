r"""All comparisons in one run; `make bench` sets up its environments and calls it.

    python -m comparisons.run --torch-python .venv-torch/bin/python \
        --infinity-python .venv-infinity/bin/python [--labelled FILE] [--only PART]... [--output FOLDER]

Without --only everything is measured, and docs/benchmarks.md is written anew. Parts alone are printed; where
--output names a folder, they take the place of what its results had of them, and its page is written anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bertriton_bench import Plan, run_plan
from bertriton_bench.perf_analyzer import find_perf_analyzer
from bertriton_bench.texts import default_texts, read_texts
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import BERT_BASE, NAME, Shape, bert_base, minilm, relative
from comparisons.contenders import HUGGING_FACE, INFINITY, PEERS, Environments
from comparisons.document import FIGURE_HEADER, write_results
from comparisons.parts import (
    LONG_TEXTS,
    REVIEWS,
    SNIPPETS,
    ClientPlan,
    Contest,
    ContestPlan,
    accuracy_figure,
    client_figures,
    contest_figures,
    evaluation_figure,
    format_costs,
    memory_curve,
)
from comparisons.results import Results, measured, read_results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comparisons.checkpoints import Classifier
    from comparisons.figures import Figure

ROOT = Path(__file__).parents[2]

console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Options:
    """What is measured, and for how long."""

    torch_python: Path | None = None  # a Python with torch, transformers, openvino, nncf and ctranslate2
    infinity_python: Path | None = None  # one with infinity_emb
    cache: Path = ROOT / "build" / "bench"  # where others keep the models that they have converted
    labelled: Path | None = None  # texts and labels; None: the package's sample reviews, without labels
    only: Sequence[str] = ()  # parts; none: all
    output: Path | None = None  # where docs/ and results are written
    peers: Sequence[str] = PEERS  # that take part, where they are among a part's
    rounds: int = 3  # turns of each contender
    seconds: float = 8.0  # of each turn through gRPC, about
    texts: int | None = None  # of a contest; None: as many as CONTESTS says
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
        if not self.infinity_python and INFINITY in self.peers:
            asking = [part for part in self.parts if part in INFINITY_PARTS]
            if asking:
                return f"--infinity-python is missing, or --peer for others, for {', '.join(asking)}"
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

    def results(self) -> Results:
        """Measure all parts that were asked for."""
        labelled, found = self.options.labelled, Results(())
        source = labelled.name if labelled else "the package's sample reviews, joined"
        for part in self.options.parts:
            say(part)
            started = time.monotonic()
            new = PARTS[part](self)
            minutes = (time.monotonic() - started) / 60
            figures = tuple(replace(figure, part=part) for figure in new.figures)
            new = replace(new, measured=(measured(part, minutes, source, ROOT),), figures=figures)
            found = found.updated(new, list(PARTS))
        return found

    def compare(self, plan: ContestPlan, classifier: Callable[[Run], Classifier]) -> Results:
        """A classifier against others on one set of texts."""
        options = self.options
        plan = replace(
            plan,
            number=options.texts or plan.number,
            rounds=options.rounds,
            seconds=options.seconds,
            peers=tuple(peer for peer in plan.peers if peer in options.peers),
        )
        contest = Contest(classifier(self), self.texts, find_perf_analyzer(say), plan)
        found = contest.run(self._environments, self.folder, say)
        return Results((), tuple(contest_figures(found)), (found,))

    def put_under_load(self) -> Results:
        """The embedded classifier with every set of texts at every concurrency."""
        with LocalServer(ServerConfig(self._int8, stop_grace_s=0)) as server:
            plan = Plan(server.grpc_url, NAME, seconds=self.options.sweep_seconds)
            return Results((), sweep=run_plan(plan, self.texts, on_stage=say))

    def judge_accuracy(self) -> Results:
        """The embedded classifier in int8 against itself in fp32."""
        texts, labels = self._labelled(self.options.accuracy_texts)
        return Results((), (accuracy_figure(self.minilm, texts, labels, self.folder),))

    def time_evaluation(self) -> Results:
        """`bertriton evaluate` against the Hugging Face pipeline."""
        texts, labels = self._labelled(self.options.evaluation_texts)
        figure = evaluation_figure(self.minilm, texts, labels, self._environments, self.folder)
        return Results((), (figure,))

    def watch_memory(self) -> Results:
        """The network's process under texts of random length."""
        curve = memory_curve(self._int8, self.texts, self.options.memory_requests)
        return Results((), (curve.figure,), memory=curve)

    def time_client(self) -> Results:
        """The product's clients against tritonclient and perf_analyzer."""
        plan = ClientPlan(self.options.client_calls, self.options.client_texts)
        return Results((), tuple(client_figures(self._int8, plan, find_perf_analyzer(say))))

    def export_formats(self) -> Results:
        """Exports from every format."""
        shape = Shape(self.options.formats_layers, self.options.formats_hidden)
        costs = format_costs(self.folder / "formats", shape, say)
        return Results((), tuple(costs.figures), formats=costs)

    @cached_property
    def minilm(self) -> Classifier:
        """The embedded one."""
        return minilm(self.folder)

    @cached_property
    def base(self) -> Classifier:
        """BERT-base's shape."""
        return bert_base(self.folder)

    def relative(self, family: str) -> Classifier:
        """Another family's shape."""
        return relative(family, self.folder, self._environments.torch)

    @property
    def _int8(self) -> Path:
        return self.minilm.precision_to_repository["int8"]

    @property
    def _environments(self) -> Environments:
        options = self.options
        assert options.torch_python  # noqa: S101 - `Options.problem` has told
        return Environments(options.torch_python, options.infinity_python, options.cache)

    def _labelled(self, count: int | None) -> tuple[list[str], list[str]]:
        assert self.options.labelled  # noqa: S101 - likewise
        labels = read_texts(self.options.labelled, "label")
        if len(labels) != len(self.texts):
            raise SystemExit(f"{self.options.labelled}: a row lacks its text or its label")
        return self.texts[:count], labels[:count]


# Of texts, fewer where a text takes longer: the slowest contender takes a minute for the largest set.
CONTESTS: dict[str, tuple[ContestPlan, Callable[[Run], Classifier]]] = {
    plan.part: (plan, classifier)
    for plan, classifier in (
        (ContestPlan("minilm-reviews", REVIEWS, 64, peers=PEERS), lambda run: run.minilm),
        (ContestPlan("minilm-snippets", SNIPPETS, 256, peers=PEERS), lambda run: run.minilm),
        (ContestPlan("minilm-long", LONG_TEXTS, 32, peers=PEERS), lambda run: run.minilm),
        (ContestPlan("base-reviews", REVIEWS, 32, peers=PEERS), lambda run: run.base),
        (ContestPlan("base-snippets", SNIPPETS, 128, peers=PEERS), lambda run: run.base),
        (ContestPlan("base-long", LONG_TEXTS, 16, peers=PEERS), lambda run: run.base),
        (
            ContestPlan("deberta-v3", REVIEWS, 32, peers=(HUGGING_FACE,)),
            lambda run: run.relative("deberta-v3"),
        ),
        (
            ContestPlan("modernbert", REVIEWS, 32, peers=(HUGGING_FACE,)),
            lambda run: run.relative("modernbert"),
        ),
    )
}
PARTS: dict[str, Callable[[Run], Results]] = {
    **{
        part: partial(Run.compare, plan=plan, classifier=classifier)
        for part, (plan, classifier) in CONTESTS.items()
    },
    "sweep": Run.put_under_load,
    "accuracy": Run.judge_accuracy,
    "evaluate": Run.time_evaluation,
    "memory": Run.watch_memory,
    "client": Run.time_client,
    "formats": Run.export_formats,
}
INFINITY_PARTS = frozenset(part for part, (plan, _) in CONTESTS.items() if INFINITY in plan.peers)
TORCH_PARTS = frozenset({*CONTESTS, "evaluate"})
LABELLED_PARTS = frozenset({"accuracy", "evaluate"})


def main() -> None:
    """Measure, print, and write what was found."""
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="bertriton-bench-") as folder:
        results = Run(options, Path(folder)).results()
    _print(results.figures)
    if options.only and options.output:
        results = read_results(options.output).updated(results, list(PARTS))
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
    parser.set_defaults(**vars(Options()) | {"only": [], "peers": None})
    add = parser.add_argument
    add("--torch-python", type=Path, help="a Python with torch, transformers, openvino, nncf, ctranslate2")
    add("--infinity-python", type=Path, help="a Python with infinity_emb")
    add("--cache", type=Path, help="where others keep the models that they have converted")
    add("--peer", action="append", dest="peers", choices=PEERS, help="compare with this one; may be repeated")
    add("--labelled", type=Path, help="reviews with columns text and label (csv, parquet)")
    add("--only", action="append", choices=PARTS, help="measure this part alone; may be repeated")
    add("--rounds", type=int, help="turns of each contender")
    add("--seconds", type=float, help="of each turn through gRPC, about")
    add("--texts", type=int, help="of each contest [default: 16 to 256, by part]")
    add("--sweep-seconds", type=float, help="of each measurement under load, about")
    add("--memory-requests", type=int, help="while memory is watched")
    add("--accuracy-texts", type=int, help="use so many of the labelled texts [default: all]")
    add("--evaluation-texts", type=int, help="likewise")
    add("--client-calls", type=int, help="calls of each client, one after the other")
    add("--client-texts", type=int, help="texts that AsyncClient and perf_analyzer send")
    add("--formats-layers", type=int, help="of the network that is exported from every format")
    add("--formats-hidden", type=int, help="its width, a multiple of 64")
    add("--output", type=Path, help="where docs/ and bench/comparisons/results/ are written")
    given = vars(parser.parse_args(arguments))
    options = Options(**given | {"peers": given["peers"] or PEERS})
    if options.problem:
        parser.error(options.problem)
    return options


if __name__ == "__main__":
    main()
