"""A served classifier against the Hugging Face pipeline, ONNX Runtime in process, and itself in fp32.

All of them are up at once and take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import json
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bertriton_bench.measurement import Target, measure, requests_for
from bertriton_bench.texts import MIXED, UNIFORM, make_sets
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import NAME, PRECISIONS
from comparisons.contenders import (
    HUGGING_FACE_BATCHES,
    HUGGING_FACE_DTYPES,
    MAX_LENGTH,
    HuggingFace,
    InProcess,
)
from comparisons.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bertriton_bench.measurement import Measurement
    from bertriton_bench.perf_analyzer import PerfAnalyzer
    from bertriton_bench.texts import TextSet
    from comparisons.checkpoints import Classifier

IN_FLIGHT = 16
TEXTS = 64
SHORT_TOKENS = 16
SHORT_REQUESTS = 300
IN_PROCESS_BATCHES = (1, 4, 8, 16)
WARM_UP_REQUESTS = 32
PASSES_SHARE = 0.4  # of a turn's time, for passes in process

TITLE_TO_REQUIRED_SPEEDUP = {"MiniLM": 2.5, "BERT-base shape": 3.0}
REQUIRED_OF_IN_PROCESS = 0.9
REQUIRED_OF_UNIFORM = 0.95
TITLE_TO_REQUIRED_INT8_SPEEDUP = {"BERT-base shape": 2.3}
ALLOWED_OVERHEAD_MS = 2.0

# What takes turns, as it stands in the results.
DTYPE_TO_HUGGING_FACE = {dtype: f"Hugging Face pipeline, {dtype}" for dtype in HUGGING_FACE_DTYPES}
IN_PROCESS = "int8, in process"
SIDE_BY_SIDE = "int8, in process, a batch on every core"
INT8 = "int8, gRPC"
INT8_UNIFORM = "int8, gRPC, one length"
FP32 = "fp32, gRPC"
SHORT_GRPC = "one short text, gRPC"
SHORT_IN_PROCESS = "one short text, in process"


@dataclass
class Rounds:
    """Rates in tokens per second, and times in milliseconds, of every round."""

    title: str
    versions: str  # of what Hugging Face runs on
    mean_tokens: float  # of the mixed texts
    rounds: dict[str, list[float]] = field(default_factory=dict)
    best_batch: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """What one contender reached in this round."""
        self.rounds.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Of one contender over the rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """Median over the rounds of what one has by what the other has in the same round."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def difference(self, name: str, other: str) -> float:
        """Likewise, by how much one is above the other."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        return statistics.median(mine - theirs for mine, theirs in pairs)


class Contest:
    """One classifier and all that it is compared with, ready to take turns."""

    def __init__(
        self, classifier: Classifier, texts: Sequence[str], analyzer: PerfAnalyzer, seconds: float
    ) -> None:
        self.classifier = classifier
        self.analyzer = analyzer
        self.seconds = seconds
        self.in_process = InProcess(classifier.precision_to_repository["int8"], NAME)
        sets = make_sets(
            texts,
            (MIXED, UNIFORM),
            count_tokens=self.in_process.count_tokens,
            max_length=MAX_LENGTH,
            size=TEXTS,
        )
        self.mixed, self.uniform = sets
        self.tokens = sum(self.mixed.token_counts)
        self.encodings = self.in_process.encode(self.mixed.texts)
        self.short_text = self.in_process.text_of(SHORT_TOKENS, " ".join(self.mixed.texts[:2]))
        self.rates: dict[str, float] = {}

    def run(self, torch_python: Path, folder: Path, rounds: int, tell: Callable[[str], object]) -> Rounds:
        """Let all take turns."""
        texts_file = folder / "texts.json"
        texts_file.write_text(json.dumps(self.mixed.texts), encoding="utf-8")
        with ExitStack() as stack:
            targets = {precision: self._served(precision, stack) for precision in PRECISIONS}
            hugging_face = stack.enter_context(
                HuggingFace(torch_python, self.classifier.checkpoint, texts_file)
            )
            found = Rounds(self.classifier.title, hugging_face.versions, self.mixed.mean_tokens)
            self._warm_up(targets)
            for number in range(rounds):
                tell(f"{self.classifier.title}, round {number + 1} of {rounds}")
                self._round(found, targets, hugging_face)
                tell(", ".join(f"{name} {values[-1]:,.1f}" for name, values in found.rounds.items()))
        return found

    def _served(self, precision: str, stack: ExitStack) -> Target:
        repository = self.classifier.precision_to_repository[precision]
        server = stack.enter_context(LocalServer(ServerConfig(repository, stop_grace_s=0)))
        return Target(server.grpc_url, NAME, MAX_LENGTH, self.analyzer)

    def _warm_up(self, targets: dict[str, Target]) -> None:
        for precision, target in targets.items():
            found = self._measure(target, self.mixed, IN_FLIGHT, WARM_UP_REQUESTS)
            self.rates[precision] = found.texts_per_s
        self._measure(targets["int8"], self.uniform, IN_FLIGHT, WARM_UP_REQUESTS)

    def _round(self, found: Rounds, targets: dict[str, Target], hugging_face: HuggingFace) -> None:
        found.add(INT8, self._rate(targets["int8"], self.mixed, "int8"))
        self._best_of(found, IN_PROCESS, IN_PROCESS_BATCHES, self._in_process_seconds)
        self._best_of(found, SIDE_BY_SIDE, IN_PROCESS_BATCHES, self._side_by_side_seconds)
        for dtype, name in DTYPE_TO_HUGGING_FACE.items():
            self._best_of(found, name, HUGGING_FACE_BATCHES, partial(hugging_face.seconds, dtype))
        found.add(INT8_UNIFORM, self._rate(targets["int8"], self.uniform, "int8"))
        found.add(FP32, self._rate(targets["fp32"], self.mixed, "fp32"))
        short = self._measure_short(targets["int8"])
        found.add(SHORT_GRPC, short.p50_ms)
        found.add(SHORT_IN_PROCESS, self.in_process.p50_ms(self.short_text, SHORT_REQUESTS))

    def _rate(self, target: Target, text_set: TextSet, precision: str) -> float:
        # Every turn begins with one that does not count: while others have theirs, pages grow cold.
        self._measure(target, text_set, IN_FLIGHT, TEXTS)
        requests = requests_for(self.seconds, self.rates[precision], IN_FLIGHT)
        # Whole passes over the texts, so that every round sees the same.
        requests = -(-requests // TEXTS) * TEXTS
        return self._measure(target, text_set, IN_FLIGHT, requests).tokens_per_s

    def _measure(self, target: Target, text_set: TextSet, in_flight: int, requests: int) -> Measurement:
        return measure(target, text_set.name, text_set.texts, concurrency=in_flight, requests=requests)

    def _measure_short(self, target: Target) -> Measurement:
        return measure(target, "short", [self.short_text], concurrency=1, requests=SHORT_REQUESTS)

    def _in_process_seconds(self, batch_size: int) -> float:
        return self._mean_s(partial(self.in_process.seconds, self.encodings, batch_size))

    def _side_by_side_seconds(self, batch_size: int) -> float:
        return self._mean_s(partial(self.in_process.seconds_side_by_side, self.encodings, batch_size))

    def _mean_s(self, one_pass: Callable[[], float]) -> float:
        """Of as many passes over the texts as a turn of a small network takes: one is over too soon."""
        passes = [one_pass()]
        while sum(passes) < self.seconds * PASSES_SHARE:
            passes.append(one_pass())
        return statistics.mean(passes)

    def _best_of(
        self, found: Rounds, name: str, batches: Sequence[int], seconds: Callable[[int], float]
    ) -> None:
        """The first round tries all batch sizes, the others the one that was best in it."""
        if name in found.best_batch:
            batches = (found.best_batch[name],)
        seconds(batches[-1])  # does not count, as in `_rate`
        batch_to_rate = {batch: self.tokens / seconds(batch) for batch in batches}
        found.best_batch[name] = max(batch_to_rate, key=batch_to_rate.__getitem__)
        found.add(name, max(batch_to_rate.values()))


def contest_figures(found: Rounds) -> list[Figure]:
    """What the rounds come to."""
    title = found.title

    def rate(name: str) -> str:
        batch = f", batch {found.best_batch[name]}" if name in found.best_batch else ""
        return f"{found.median(name):,.0f} tokens/s ({name}{batch})"

    def times(what: str, mine: str, theirs: str, required: float | None) -> Figure:
        detail = f"{rate(mine)}; {rate(theirs)}"
        return Figure(f"{title}: {what}", found.ratio(mine, theirs), "x", required, detail=detail)

    speedup, int8_speedup = TITLE_TO_REQUIRED_SPEEDUP[title], TITLE_TO_REQUIRED_INT8_SPEEDUP.get(title)
    return [
        *(
            times(f"gRPC against the best {name}", INT8, name, speedup)
            for name in DTYPE_TO_HUGGING_FACE.values()
        ),
        times("gRPC against in process, same int8 graph", INT8, IN_PROCESS, REQUIRED_OF_IN_PROCESS),
        times("gRPC against in process, a batch on every core", INT8, SIDE_BY_SIDE, None),
        times("mixed lengths against one length of the same mean", INT8, INT8_UNIFORM, REQUIRED_OF_UNIFORM),
        times("int8 against fp32, both through gRPC", INT8, FP32, int8_speedup),
        Figure(
            f"{title}: p50 of one text of {SHORT_TOKENS} tokens, gRPC above in process",
            found.difference(SHORT_GRPC, SHORT_IN_PROCESS),
            "ms",
            ALLOWED_OVERHEAD_MS,
            is_upper_limit=True,
            detail=f"{found.median(SHORT_GRPC):.2f} ms; {found.median(SHORT_IN_PROCESS):.2f} ms",
        ),
    ]
