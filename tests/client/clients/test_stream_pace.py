"""Streams that pause: each text is answered before the next one comes, and within a tenth of a second."""

from __future__ import annotations

import asyncio
import queue
import time
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import AsyncClient, Client
from bertriton._config import STREAM_PAUSE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bertriton_server import LocalServer

Scripted = Any  # a ScriptedTriton and its client

PATIENCE_S = 60.0
GAP_S = 1.0
LATENCY_S = 0.1
TRIES = 3  # a machine with other work may be late once


class OneByOne:
    """A text, and the next one when it is answered."""

    def __init__(self, texts: int) -> None:
        self.texts = texts
        self.answered: queue.Queue[None] = queue.Queue()

    def __iter__(self) -> Iterator[str]:
        for number in range(self.texts):
            if number:
                self.answered.get(timeout=PATIENCE_S)
            yield f"text {number}"

    async def asynchronous(self) -> AsyncIterator[str]:
        for number in range(self.texts):
            if number:
                await asyncio.to_thread(self.answered.get, timeout=PATIENCE_S)
            yield f"text {number}"


class Paused:
    """A text every so often, and when each was given."""

    def __init__(self, texts: int, gap_s: float) -> None:
        self.texts = texts
        self.gap_s = gap_s
        self.given_s: list[float] = []

    def __iter__(self) -> Iterator[str]:
        for number in range(self.texts):
            if number:
                time.sleep(self.gap_s)
            self.given_s.append(time.monotonic())
            yield f"text {number}"

    async def asynchronous(self) -> AsyncIterator[str]:
        for number in range(self.texts):
            if number:
                await asyncio.sleep(self.gap_s)
            self.given_s.append(time.monotonic())
            yield f"text {number}"


def _worst_latency_s(source: Paused, answers: Iterator[Any]) -> float:
    return max(time.monotonic() - source.given_s[place] for place, _ in enumerate(answers))


def test_a_text_is_answered_before_the_next_comes(client: Client) -> None:
    source = OneByOne(3)

    for number, answer in enumerate(client.classify_iter(source)):
        assert answer.label in client.labels
        assert number < 3
        source.answered.put(None)

    assert source.answered.qsize() == 1


def test_an_asynchronous_text_is_answered_before_the_next_comes(imdb_server: LocalServer) -> None:
    async def count_answers() -> int:
        source = OneByOne(3)
        async with AsyncClient(imdb_server.grpc_url) as client:
            async for _ in client.classify_iter(source.asynchronous()):
                source.answered.put(None)
        return 2 + source.answered.qsize()

    assert asyncio.run(count_answers()) == 3


@pytest.mark.timed
def test_a_text_a_second_is_answered_at_once(client: Client) -> None:
    client.classify("It answers first.")

    worst_s = []
    for _ in range(TRIES):
        source = Paused(3, GAP_S)
        worst_s.append(_worst_latency_s(source, client.classify_iter(source)))

    assert min(worst_s) < LATENCY_S


@pytest.mark.timed
def test_an_asynchronous_text_a_second_is_answered_at_once(imdb_server: LocalServer) -> None:
    async def worst_s(client: AsyncClient) -> float:
        source = Paused(3, GAP_S)
        latencies = []
        async for _ in client.classify_iter(source.asynchronous()):
            latencies.append(time.monotonic() - source.given_s[len(latencies)])
        return max(latencies)

    async def best_s() -> float:
        async with AsyncClient(imdb_server.grpc_url) as client:
            await client.classify("It answers first.")
            return min([await worst_s(client) for _ in range(TRIES)])

    assert asyncio.run(best_s()) < LATENCY_S


def test_a_source_that_blocks_does_not_block_the_event_loop(imdb_server: LocalServer) -> None:
    async def ticks_while_it_blocks() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async with AsyncClient(imdb_server.grpc_url) as client:
            ticking = asyncio.create_task(tick())
            assert len([answer async for answer in client.classify_iter(Paused(2, 1.0))]) == 2
            ticking.cancel()
        return ticks

    assert asyncio.run(ticks_while_it_blocks()) > 10


def test_texts_that_trickle_do_not_wait_for_a_full_request(scripted: Scripted) -> None:
    _, client = scripted
    client.classify("It answers first.")

    def given_before_the_first_answer() -> int:
        source = Paused(200, STREAM_PAUSE_S / 5)
        answers = client.classify_iter(source)
        next(answers)
        given = len(source.given_s)
        answers.close()
        return given

    assert min(given_before_the_first_answer() for _ in range(TRIES)) < 100
