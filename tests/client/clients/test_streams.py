"""Streams that pause: every answer comes as soon as it is there, and a reader leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections import deque
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import AsyncClient, Client, InvalidTextError, RequestLimits
from bertriton._clients import sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bertriton_server import LocalServer

Scripted = Any  # a ScriptedTriton and its client

PATIENCE_S = 60.0


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "bertriton-reader"]


def _eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_queue_that_ends_in_silence_gives_all_answers(client: Client) -> None:
    texts: queue.Queue[str] = queue.Queue()
    for number in range(150):
        texts.put("good " * (1 + number % 50))

    answers = list(islice(client.classify_iter(iter(texts.get, None)), 150))

    assert [3 + number % 50 for number in range(150)] == [answer.token_count for answer in answers]
    texts.put("The reader ends with this.")
    assert _eventually(lambda: not _readers())


def test_bursts_become_full_requests_and_their_rest_a_partial_one(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.inferences = 0
    answers: list[Any] = []

    def bursts() -> Iterator[str]:
        for burst in range(1, 4):
            yield from ["text"] * 20  # 8, 8 and 4 by the server's limit
            # Only a rest that is sent while the source pauses is answered here.
            assert _eventually(lambda: len(answers) == 20 * burst)  # noqa: B023

    for answer in client.classify_iter(bursts()):
        answers.append(answer)  # noqa: PERF402

    assert len(answers) == 60
    # A burst that is interrupted by another process may be cut once more; one by one they would be 60.
    assert 9 <= triton.inferences <= 20


def test_a_source_that_never_pauses_fills_its_requests(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.inferences = 0

    assert len(list(islice(client.classify_iter("text" for _ in count()), 800))) == 800

    assert triton.inferences < 2 * 800 / 8


def test_answers_keep_their_order_when_requests_are_partial(client: Client) -> None:
    def trickle() -> Iterator[str]:
        for number in range(120):
            time.sleep(0.003 * (number % 5))
            yield "good " * (1 + number % 40)

    answers = list(client.classify_iter(trickle()))

    assert [3 + number % 40 for number in range(120)] == [answer.token_count for answer in answers]


def test_an_error_after_a_pause_comes_after_the_results_before_it(client: Client) -> None:
    def broken() -> Iterator[str]:
        yield "text"
        time.sleep(0.3)
        raise OSError("disk on fire")

    answers = client.classify_iter(broken())

    assert next(answers).token_count == 3
    with pytest.raises(OSError, match="disk on fire"):
        next(answers)


def test_an_invalid_text_after_a_pause_is_named_by_its_place(client: Client) -> None:
    def texts() -> Iterator[Any]:
        yield from ["text"] * 70
        time.sleep(0.3)
        yield 5

    answers = client.classify_iter(texts())

    assert len(list(islice(answers, 70))) == 70
    with pytest.raises(InvalidTextError) as caught:
        next(answers)
    assert caught.value.index == 70
    assert _eventually(lambda: not _readers())


def test_the_source_sees_the_callers_context_variables(client: Client) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("of the caller")
    seen = []

    def source() -> Iterator[str]:
        seen.append(variable.get(None))
        yield "text"

    list(client.classify_iter(source()))

    assert seen == ["of the caller"]


def test_leaving_a_stream_early_leaves_no_thread_and_reads_no_more(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    client = new_client(imdb_server.grpc_url, limits=RequestLimits(rows=4, in_flight=3))
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for number in count():
            taken += 1
            yield f"text {number}"

    for _ in range(20):
        taken = 0
        answers: Any = client.classify_iter(source())
        next(answers)
        answers.close()
        assert taken <= 1 + 4 * 3

    assert _eventually(lambda: not _readers())


def test_a_stream_that_is_left_while_its_source_blocks_is_left_at_once(client: Client) -> None:
    texts: queue.Queue[str] = queue.Queue()
    texts.put("text")
    answers: Any = client.classify_iter(iter(texts.get, None))
    next(answers)

    started = time.monotonic()
    answers.close()

    assert time.monotonic() - started < PATIENCE_S
    texts.put("lost")
    assert _eventually(lambda: not _readers())
    texts.put("kept")
    assert texts.get_nowait() == "kept"


@pytest.mark.parametrize(
    "texts", [["a", "b"], {"a", "b"}, {"a": 1, "b": 2}, deque(["a", "b"]), {"a": 1}.keys()]
)
def test_what_lies_in_memory_needs_no_thread(
    client: Client, monkeypatch: pytest.MonkeyPatch, texts: Any
) -> None:
    started = []
    monkeypatch.setattr(sources.ThreadReader, "_start", lambda reader: started.append(reader))  # noqa: PLW0108

    assert len(list(client.classify_iter(texts))) == len(texts)
    assert started == []


def test_texts_of_many_bytes_are_not_read_ahead_without_bound(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    limits = RequestLimits(rows=64, request_bytes=10_000, in_flight=2)
    client = new_client(imdb_server.grpc_url, limits=limits)
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for _ in count():
            taken += 1
            yield "é" * 2_500

    answers: Any = client.classify_iter(source())
    next(answers)
    time.sleep(0.2)

    assert taken <= 5
    answers.close()


def test_an_asynchronous_source_can_be_closed_after_its_stream(imdb_server: LocalServer) -> None:
    closed = []

    async def source() -> AsyncIterator[str]:
        try:
            for number in count():
                await asyncio.sleep(0.01)
                yield f"text {number}"
        finally:
            closed.append("source")

    async def leave_early() -> set[str]:
        texts: Any = source()
        async with AsyncClient(imdb_server.grpc_url) as client:
            results = client.classify_iter(texts)
            await anext(results)
            await results.aclose()
            await texts.aclose()
            return {task.get_name() for task in asyncio.all_tasks()} & {"bertriton-reader"}

    assert asyncio.run(leave_early()) == set()
    assert closed == ["source"]


def test_a_task_that_is_cancelled_while_its_stream_waits_ends_at_once(imdb_server: LocalServer) -> None:
    async def silent() -> AsyncIterator[str]:
        yield "text"
        await asyncio.Event().wait()

    async def cancel() -> float:
        async with AsyncClient(imdb_server.grpc_url) as client:

            async def consume() -> None:
                async for _ in client.classify_iter(silent()):
                    pass

            task = asyncio.create_task(consume())
            await asyncio.sleep(1)
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.monotonic() - started

    assert asyncio.run(cancel()) < PATIENCE_S


def test_streams_of_many_threads_share_a_client(imdb_server: LocalServer) -> None:
    found: list[list[int]] = []

    def consume(client: Client) -> None:
        texts = ("good " * (1 + number % 20) for number in range(100))
        found.append([answer.token_count for answer in client.classify_iter(texts)])

    with Client(imdb_server.grpc_url) as client:
        threads = [threading.Thread(target=consume, args=(client,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == [[3 + number % 20 for number in range(100)]] * 8
    assert not _readers()
