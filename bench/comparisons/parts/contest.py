"""A served classifier against all others on one set of texts.

All of them are up at once and take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bertriton import Client
from bertriton_bench.measurement import Target, measure, requests_for
from bertriton_bench.texts import LONG, MIXED, UNIFORM, TextSet, make_sets
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import NAME
from comparisons.contenders import (
    CALIBRATION,
    HUGGING_FACE,
    INFINITY,
    MAX_LENGTH,
    OPENVINO,
    InProcess,
    Int8Ceiling,
)
from comparisons.parts.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bertriton_bench.perf_analyzer import PerfAnalyzer
    from comparisons.checkpoints import Classifier
    from comparisons.contenders import Environments, Peer

REVIEWS = "reviews"
SNIPPETS = "snippets"
LONG_TEXTS = "long texts"
SNIPPET_WORDS = (6, 31)  # at least, at most: about 28 tokens
CALIBRATION_TEXTS = 64

IN_FLIGHT = 16
FURTHER_IN_FLIGHT = (1, 64)  # in the first round alone
SHORT_TOKENS = 16
SHORT_REQUESTS = 300
IN_PROCESS_BATCHES = ("batch 1", "batch 4", "batch 8", "batch 16")
WARM_UP_TEXTS = 8  # of others; the slowest would take as long as they count
PASSES_SHARE = 0.4  # of a turn's time, for passes over a list
CEILING_SECONDS_SHARE = 0.1  # likewise, for each shape of a product

# What takes turns, as it stands in the results; others stand under their own names.
LISTS = "int8, gRPC, lists"
IN_PROCESS = "int8, in process"
SIDE_BY_SIDE = "int8, in process, a batch on every core"
UNIFORM_SINGLES = "int8, gRPC, one length"
FP32 = "fp32, gRPC, lists"
SHORT_GRPC = "one short text, gRPC"
SHORT_IN_PROCESS = "one short text, in process"
CEILING = "MatMulInteger"

_SEED = 0


def singles(in_flight: int, name: str = "int8, gRPC") -> str:
    """A text a request, so many at a time."""
    return f"{name}, {in_flight} in flight"


@dataclass(frozen=True)
class ContestPlan:
    """Which texts, against whom, and for how long."""

    part: str  # of the benchmark
    texts: str = REVIEWS
    number: int = 64  # of texts
    rounds: int = 3
    seconds: float = 8.0  # of each turn through gRPC, about
    peers: tuple[str, ...] = (OPENVINO, HUGGING_FACE)

    @property
    def is_about_requests(self) -> bool:
        """Whether graphs and requests are compared as well, which is done with reviews."""
        return self.texts == REVIEWS and OPENVINO in self.peers


class Turn(NamedTuple):
    """What a contender does when it is its turn."""

    take: Callable[[Rounds], None]
    is_once: bool = False  # in the first round alone


class Contest:
    """One classifier and all that it is compared with, ready to take turns."""

    def __init__(
        self, classifier: Classifier, texts: Sequence[str], analyzer: PerfAnalyzer, plan: ContestPlan
    ) -> None:
        self.classifier = classifier
        self.analyzer = analyzer
        self.plan = plan
        self.in_process = InProcess(classifier.precision_to_repository["int8"], NAME)
        self.calibration, texts = held_out(texts)
        self.set, self.uniform = self._sets(texts)
        self.tokens = sum(self.set.token_counts)
        self.encodings = self.in_process.encode(self.set.texts)
        self.short_text = self.in_process.text_of(SHORT_TOKENS, " ".join(texts[:2]))
        self.labels: list[str] = []  # of the set, as int8 has them

    def run(self, environments: Environments, folder: Path, tell: Callable[[str], object]) -> Rounds:
        """Let all take turns."""
        plan, shape = self.plan, self.classifier.shape
        texts_file = folder / "texts.json"
        sets = {plan.texts: self.set.texts, CALIBRATION: self.calibration}
        texts_file.write_text(json.dumps(sets), encoding="utf-8")
        found = Rounds(
            plan.part, self.classifier.title, plan.texts, len(self.set.texts), self.set.mean_tokens
        )
        found.operations_per_token = shape.operations_per_token if shape else None
        with ExitStack() as stack:
            peers = [
                stack.enter_context(environments.start(name, self.classifier.checkpoint, texts_file))
                for name in plan.peers
            ]
            found.versions = {peer.name: peer.versions for peer in peers}
            turns = self._turns(peers, stack)
            for number in range(plan.rounds):
                tell(f"{found.title}, {plan.texts}, round {number + 1} of {plan.rounds}")
                for turn in turns:
                    if number == 0 or not turn.is_once:
                        turn.take(found)
                tell(", ".join(f"{name} {values[-1]:,.1f}" for name, values in found.rounds.items()))
        return found

    def _sets(self, texts: Sequence[str]) -> tuple[TextSet, TextSet]:
        """The set that all get, and for reviews one of a single length."""
        plan = self.plan
        make = partial(make_sets, count_tokens=self.in_process.count_tokens, max_length=MAX_LENGTH)
        if plan.texts == SNIPPETS:
            pieces = snippets(texts, plan.number)
            return (TextSet(SNIPPETS, tuple(pieces), tuple(self.in_process.count_tokens(pieces))),) * 2
        kind = MIXED if plan.texts == REVIEWS else LONG
        first, uniform = make(texts, (kind, UNIFORM), size=plan.number)
        return first, uniform

    def _turns(self, peers: Sequence[Peer], stack: ExitStack) -> list[Turn]:
        int8, client = self._served("int8", stack)
        turns = [Turn(partial(self._lists, LISTS, client))]
        turns += [Turn(partial(self._peer_lists, peer)) for peer in peers]
        if self.classifier.shape:
            ceiling = Int8Ceiling(self.in_process.threads)
            turns.append(Turn(partial(self._ceiling, ceiling)))
        turns.append(Turn(partial(self._singles, singles(IN_FLIGHT), int8, self.set, IN_FLIGHT)))
        if self.classifier.shape:
            further = [
                partial(self._singles, singles(count), int8, self.set, count) for count in FURTHER_IN_FLIGHT
            ]
            turns += [Turn(take, is_once=True) for take in further]
            turns += [Turn(take, is_once=True) for take in self._single_texts_of_servers(peers)]
        if self.plan.is_about_requests:
            turns += self._turns_about_requests(int8, stack)
        return turns

    def _turns_about_requests(self, int8: Target, stack: ExitStack) -> list[Turn]:
        _, fp32 = self._served("fp32", stack)
        takes: list[Callable[[Rounds], None]] = [
            partial(self._singles, UNIFORM_SINGLES, int8, self.uniform, IN_FLIGHT),
            partial(self._in_process, IN_PROCESS, self.in_process.seconds),
            partial(self._in_process, SIDE_BY_SIDE, self.in_process.seconds_side_by_side),
            partial(self._lists, FP32, fp32),
            partial(self._short, int8),
        ]
        return [Turn(take) for take in takes]

    def _served(self, precision: str, stack: ExitStack) -> tuple[Target, Client]:
        repository = self.classifier.precision_to_repository[precision]
        server = stack.enter_context(LocalServer(ServerConfig(repository, stop_grace_s=0)))
        client = stack.enter_context(Client(server.grpc_url, NAME))
        return Target(server.grpc_url, NAME, MAX_LENGTH, self.analyzer), client

    def _lists(self, name: str, client: Client, found: Rounds) -> None:
        texts = list(self.set.texts)
        client.classify(texts)  # does not count: while others have their turns, pages grow cold

        def one_pass() -> float:
            started = time.perf_counter()
            self.labels = [answer.label for answer in client.classify(texts)]
            return time.perf_counter() - started

        found.add(name, self.tokens / self._mean_s(one_pass))

    def _peer_lists(self, peer: Peer, found: Rounds) -> None:
        def rate(setting: str) -> float:
            peer.seconds(self.plan.texts, setting, count=WARM_UP_TEXTS)
            return self.tokens / self._mean_s(partial(peer.seconds, self.plan.texts, setting))

        found.add_best(peer.name, peer.settings, rate)
        same = sum(mine == theirs for mine, theirs in zip(self.labels, peer.labels, strict=True))
        found.agreement[peer.name] = same / len(self.labels)

    def _single_texts_of_servers(self, peers: Sequence[Peer]) -> list[Callable[[Rounds], None]]:
        def take(peer: Peer, in_flight: int, found: Rounds) -> None:
            setting = found.best[peer.name]
            seconds = peer.seconds(self.plan.texts, setting, in_flight=in_flight)
            found.add(singles(in_flight, peer.name), self.tokens / seconds)

        return [
            partial(take, peer, in_flight)
            for peer in peers
            if peer.name == INFINITY
            for in_flight in (IN_FLIGHT, *FURTHER_IN_FLIGHT)
        ]

    def _in_process(self, name: str, seconds: Callable[..., float], found: Rounds) -> None:
        def rate(setting: str) -> float:
            batch = int(setting.removeprefix("batch "))
            seconds(self.encodings[:WARM_UP_TEXTS], batch)
            return self.tokens / self._mean_s(partial(seconds, self.encodings, batch))

        found.add_best(name, IN_PROCESS_BATCHES, rate)

    def _ceiling(self, ceiling: Int8Ceiling, found: Rounds) -> None:
        seconds = self.plan.seconds * CEILING_SECONDS_SHARE
        found.add_best(CEILING, ceiling.settings, partial(ceiling.gops, seconds=seconds))

    def _singles(self, name: str, target: Target, texts: TextSet, in_flight: int, found: Rounds) -> None:
        run = partial(measure, target, texts.name, texts.texts, concurrency=in_flight)
        if in_flight in FURTHER_IN_FLIGHT:  # right after others, which say how much is enough
            rate = found.median(singles(IN_FLIGHT)) / texts.mean_tokens
        else:
            rate = run(requests=len(texts.texts)).texts_per_s  # does not count
        requests = requests_for(self.plan.seconds, rate, in_flight)
        # Whole passes over the texts, so that every round sees the same.
        requests = -(-requests // len(texts.texts)) * len(texts.texts)
        found.add(name, run(requests=requests).tokens_per_s)

    def _short(self, target: Target, found: Rounds) -> None:
        short = measure(target, "short", [self.short_text], concurrency=1, requests=SHORT_REQUESTS)
        found.add(SHORT_GRPC, short.p50_ms)
        found.add(SHORT_IN_PROCESS, self.in_process.p50_ms(self.short_text, SHORT_REQUESTS))

    def _mean_s(self, one_pass: Callable[[], float]) -> float:
        """Of as many passes over the texts as a turn of a small network takes: one is over too soon."""
        passes = [one_pass()]
        while sum(passes) < self.plan.seconds * PASSES_SHARE:
            passes.append(one_pass())
        return statistics.mean(passes)


def held_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts that others quantise by, and all the rest, from which the sets are made."""
    if len(texts) <= CALIBRATION_TEXTS:
        raise SystemExit(
            f"{len(texts)} texts are too few: {CALIBRATION_TEXTS} are held out for quantising, "
            "and the others are timed"
        )
    chance = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    chosen = set(chance.sample(range(len(texts)), CALIBRATION_TEXTS))
    kept = [text for index, text in enumerate(texts) if index not in chosen]
    return [texts[index] for index in sorted(chosen)], kept


def snippets(texts: Sequence[str], number: int) -> list[str]:
    """So many runs of a few words, from everywhere in the texts."""
    chance = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    words = " ".join(texts).split()
    pieces = []
    for index in range(number):
        start = index * len(words) // number
        pieces.append(" ".join(words[start : start + chance.randint(*SNIPPET_WORDS)]))
    return pieces
