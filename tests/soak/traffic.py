"""What goes to a server in a soak: innocent clients whose answers are compared, and others that disturb."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from bertriton import AsyncClient, BertritonError, Client, DeadlineError, OverloadedError, contract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton import Classification

REQUEST_TIMEOUT_S = 30.0
CANCELLED_AFTER_S = 0.02
LONG_WORDS = 400
WINDOWED_WORDS = 100_000
PAUSE_OF_DISTURBERS_S = 0.25  # or nothing else would be served on a small machine
ALLOWED = (OverloadedError, DeadlineError)

Logits = tuple[float, ...]


@dataclass
class Outcome:
    """What came of all requests so far."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # answers of innocents that are not the baseline's
    failed: list[str] = field(default_factory=list)  # innocents that failed by more than overload or deadline
    latencies_s: list[float] = field(default_factory=list)  # of an innocent's calls for one text
    _lock: Lock = field(default_factory=Lock)

    def count(self, what: str) -> None:
        """One more of a kind."""
        with self._lock:
            self.counts[what] += 1

    def blame(self, where: list[str], what: str) -> None:
        """Keep what must not have happened."""
        with self._lock:
            where.append(what)


@dataclass(frozen=True)
class Soak:
    """What all threads of a soak share."""

    url: str
    model: str
    texts: Sequence[str]
    baseline: dict[str, Logits]
    outcome: Outcome
    ended: Event

    def until_it_ends(self, work: Callable[[random.Random], None], seed: int, pause_s: float = 0) -> None:
        """Work again and again; a disturber's own failures do not matter."""
        draw = random.Random(seed)  # noqa: S311  # tests are to be repeatable
        while not self.ended.wait(pause_s):
            work(draw)


def innocent(soak: Soak, seed: int) -> None:
    """Short texts, one or a few at a time; every answer has to be the baseline's, bit for bit."""
    with Client(soak.url, soak.model, timeout=REQUEST_TIMEOUT_S) as client:

        def ask(draw: random.Random) -> None:
            texts = draw.sample(list(soak.texts), draw.choice((1, 1, 1, 4, 16)))
            started_s = time.monotonic()
            answers = client.classify(texts, return_exceptions=True)
            if len(texts) == 1:
                soak.outcome.latencies_s.append(time.monotonic() - started_s)
            for text, answer in zip(texts, answers, strict=True):
                judge(soak, text, answer)

        soak.until_it_ends(ask, seed)


def judge(soak: Soak, text: str, answer: Classification | BertritonError) -> None:
    """Count an innocent's answer, and blame it where it is wrong."""
    if isinstance(answer, BertritonError):
        soak.outcome.count(type(answer).__name__)
        if not isinstance(answer, ALLOWED):
            soak.outcome.blame(soak.outcome.failed, f"{type(answer).__name__}: {answer}")
        return
    soak.outcome.count("answered")
    if answer.logits != soak.baseline[text]:
        soak.outcome.blame(soak.outcome.wrong, f"{text[:60]!r}: {answer.logits}, not {soak.baseline[text]}")


def many_long_texts(soak: Soak, seed: int) -> None:
    """Requests as large as they may be."""
    with Client(soak.url, soak.model, timeout=REQUEST_TIMEOUT_S) as client:

        def ask(draw: random.Random) -> None:
            text = " ".join(draw.choices(soak.texts, k=40))
            client.classify([" ".join(text.split()[:LONG_WORDS])] * 64, return_exceptions=True)
            soak.outcome.count("requests of 64 long texts")

        soak.until_it_ends(ask, seed, PAUSE_OF_DISTURBERS_S * 4)


def windowed(soak: Soak, seed: int) -> None:
    """Texts of very many windows."""
    with Client(soak.url, soak.model, timeout=REQUEST_TIMEOUT_S) as client:

        def ask(draw: random.Random) -> None:
            words = " ".join(draw.choices(soak.texts, k=10_000)).split()[:WINDOWED_WORDS]
            with suppress(BertritonError):
                client.classify(" ".join(words), truncation="windows")
            soak.outcome.count(f"texts of {WINDOWED_WORDS:,} words in windows")

        soak.until_it_ends(ask, seed, PAUSE_OF_DISTURBERS_S * 8)


def cancelled(soak: Soak, seed: int) -> None:
    """Calls that are given up before they are answered."""

    async def give_up(draw: random.Random) -> None:
        async with AsyncClient(soak.url, soak.model, timeout=REQUEST_TIMEOUT_S) as client:
            tasks = [asyncio.create_task(client.classify(draw.choice(soak.texts))) for _ in range(32)]
            await asyncio.sleep(CANCELLED_AFTER_S * draw.random())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def ask(draw: random.Random) -> None:
        asyncio.run(give_up(draw))
        soak.outcome.count("32 calls cancelled")

    soak.until_it_ends(ask, seed, PAUSE_OF_DISTURBERS_S)


def hostile(soak: Soak, seed: int) -> None:
    """Requests to each of the three models that no client of ours would make."""
    with triton.InferenceServerClient(soak.url) as client:

        def ask(draw: random.Random) -> None:
            model, inputs = draw.choice((damaged_text, damaged_tokens, unequal_tokens, foreign_ids))(
                soak.model, draw
            )
            with suppress(InferenceServerException, grpc.RpcError):
                client.infer(model, inputs, client_timeout=REQUEST_TIMEOUT_S)
            soak.outcome.count("hostile requests")

        soak.until_it_ends(ask, seed, PAUSE_OF_DISTURBERS_S / 5)


def tokens(model: str, **arrays: Any) -> tuple[str, list[triton.InferInput]]:
    """A request to the network itself."""
    inputs = []
    for name, array in arrays.items():
        sent = triton.InferInput(name, array.shape, "INT32")
        sent.set_data_from_numpy(array.astype(np.int32))
        inputs.append(sent)
    return model + contract.BERT_SUFFIX, inputs


def damaged_text(model: str, draw: random.Random) -> tuple[str, list[triton.InferInput]]:
    """A string whose length prefix says more than there is, to the ensemble or to its tokenizer."""
    sent = triton.InferInput(contract.TEXT, [1, 1], "BYTES")
    sent.set_data_from_numpy(np.array([[b"good movie"]], np.object_))
    sent._raw_content = draw.choice((5, 11, 2**31, 2**32 - 1)).to_bytes(4, "little") + b"good"  # noqa: SLF001
    return model + draw.choice(("", contract.TOKENIZER_SUFFIX)), [sent]


def damaged_tokens(model: str, draw: random.Random) -> tuple[str, list[triton.InferInput]]:
    """Positions that start more windows, or fewer, than there are rows."""
    rows, width = draw.randint(1, 8), draw.randint(1, 40)
    shape = (rows, width)
    positions = np.array([draw.choice((-9, -3, -2, -1, 0, 0, 1, 511, 10**6)) for _ in range(rows * width)])
    return tokens(
        model,
        input_ids=np.full(shape, 2000),
        token_type_ids=np.zeros(shape),
        position_ids=positions.reshape(shape),
    )


def unequal_tokens(model: str, draw: random.Random) -> tuple[str, list[triton.InferInput]]:
    """Three inputs of different widths."""
    widths = [draw.randint(1, 30) for _ in range(3)]
    return tokens(
        model,
        input_ids=np.full((1, widths[0]), 2000),
        token_type_ids=np.zeros((1, widths[1])),
        position_ids=np.arange(widths[2])[None, :],
    )


def foreign_ids(model: str, draw: random.Random) -> tuple[str, list[triton.InferInput]]:
    """Ids outside of the vocabulary."""
    width = draw.randint(2, 40)
    ids = np.array([[draw.choice((-1, 2000, 10**9, -(2**31))) for _ in range(width)]])
    return tokens(
        model, input_ids=ids, token_type_ids=np.zeros((1, width)), position_ids=np.arange(width)[None, :]
    )


DISTURBERS = (many_long_texts, windowed, cancelled, hostile)


def baseline_of(url: str, model: str, texts: Sequence[str]) -> dict[str, Logits]:
    """Each text's logits, asked alone and while nobody else asks."""
    with Client(url, model, timeout=REQUEST_TIMEOUT_S) as client:
        return {text: client.classify(text).logits for text in texts}


def wait_until(moment_s: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, moment_s - time.monotonic()))
