"""A server that dies, hangs or drowns costs no answer, no order and no endless wait."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from tritonclient.grpc import InferenceServerClient, model_config_pb2

from bertriton import (
    AsyncClient,
    BertritonError,
    Classification,
    Client,
    ConnectionFailedError,
    DeadlineError,
    OverloadedError,
    RequestLimits,
    RetryPolicy,
)
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Raise both for a longer trial; the claims hold for 5,000 texts and 2,000 calls as well.
TEXTS_THROUGH_A_CRASH = 1200
CALLS_AT_ONCE = 500

QUEUE_SIZE = 64
DEADLINE_TOLERANCE = 0.1
TRIES = 3  # a machine with other work may be late once


@pytest.fixture
def own_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A server that a test may break."""
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        yield server


@pytest.fixture(scope="module")
def stoppable_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A server of this module alone, which may be stopped for a while."""
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        yield server


@pytest.fixture
def stopped_server(stoppable_server: LocalServer) -> Iterator[LocalServer]:
    """A server that takes connections and never answers."""
    os.kill(stoppable_server.pid, signal.SIGSTOP)
    yield stoppable_server
    os.kill(stoppable_server.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def small_queue_server(
    imdb_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    """A server whose models refuse what does not fit into a small queue."""
    repository = tmp_path_factory.mktemp("small_queue") / "repository"
    shutil.copytree(imdb_repository, repository)
    for part in ("imdb_tokenizer", "imdb_bert"):
        path = repository / part / "config.pbtxt"
        config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
        config.dynamic_batching.default_queue_policy.max_queue_size = QUEUE_SIZE
        config.dynamic_batching.default_queue_policy.allow_timeout_override = True
        path.write_text(text_format.MessageToString(config))
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        yield server


class Crash:
    """Kills a server without warning and starts another one on its port."""

    def __init__(self, server: LocalServer, *, down_s: float) -> None:
        self._server = server
        self._down_s = down_s
        self._thread = threading.Thread(target=self._run)
        self.successor: LocalServer | None = None

    def begin(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        os.kill(self._server.pid, signal.SIGKILL)
        port = self._server.grpc_port
        self._server.stop()
        time.sleep(self._down_s)
        self.successor = LocalServer(ServerConfig(self._server.config.model_repository, grpc_port=port))
        self.successor.start()

    def end(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()
        if self.successor is not None:
            self.successor.stop(grace_s=0)


@pytest.fixture
def crash(own_server: LocalServer) -> Iterator[Crash]:
    crash = Crash(own_server, down_s=1.0)
    yield crash
    crash.end()


@pytest.mark.parametrize("method", ["classify", "classify_iter"])
def test_every_text_is_answered_once_and_in_order_through_a_crash(
    new_client: Callable[..., Client], own_server: LocalServer, crash: Crash, method: str
) -> None:
    # The number of tokens tells the texts apart.
    texts = ["good " * (1 + number % 37) for number in range(TEXTS_THROUGH_A_CRASH)]
    expected = [3 + number % 37 for number in range(TEXTS_THROUGH_A_CRASH)]
    client = new_client(own_server.grpc_url)

    def crash_after_a_third(done: int) -> None:
        if done > TEXTS_THROUGH_A_CRASH // 3:
            crash.begin()

    answers = list(getattr(client, method)(texts, progress=crash_after_a_third))

    assert crash.successor is not None
    assert expected == [answer.token_count for answer in answers]


def test_a_server_that_stays_away_is_a_failed_connection(
    new_client: Callable[..., Client], own_server: LocalServer
) -> None:
    client = new_client(own_server.grpc_url, timeout=1)
    client.classify("It answers before it is killed.")
    os.kill(own_server.pid, signal.SIGKILL)

    elapsed_s = _least_s(lambda: client.classify("Nobody is there."), ConnectionFailedError)

    assert elapsed_s < 1 + DEADLINE_TOLERANCE


@pytest.mark.parametrize("timeout", [0.3, 1.0])
@pytest.mark.parametrize("count", [1, 500])
def test_a_call_to_a_stopped_server_ends_at_its_deadline(
    new_client: Callable[..., Client], stopped_server: LocalServer, timeout: float, count: int
) -> None:
    client = new_client(stopped_server.grpc_url, "imdb")

    elapsed_s = _least_s(lambda: client.classify(["text"] * count, timeout=timeout), DeadlineError)

    assert timeout * 0.9 < elapsed_s < timeout * (1 + DEADLINE_TOLERANCE)


def _least_s(call: Callable[[], object], expected: type[BertritonError]) -> float:
    """How long the quickest of several calls took that nobody answers."""
    elapsed_s = []
    for _ in range(TRIES):
        started = time.monotonic()
        with pytest.raises(expected) as caught:
            call()
        elapsed_s.append(time.monotonic() - started)
        assert caught.value.retryable
        assert caught.value.attempts > 1 or expected is DeadlineError
    return min(elapsed_s)


def test_the_clients_own_timeout_bounds_a_call_too(
    new_client: Callable[..., Client], stopped_server: LocalServer
) -> None:
    client = new_client(stopped_server.grpc_url, "imdb", timeout=0.5)

    elapsed_s = _least_s(lambda: client.classify(["text"] * 500), DeadlineError)

    assert elapsed_s < 0.5 * (1 + DEADLINE_TOLERANCE)


def test_at_the_deadline_every_unanswered_text_gets_the_error(
    new_client: Callable[..., Client], stoppable_server: LocalServer
) -> None:
    client = new_client(stoppable_server.grpc_url)
    count = 2000

    def elapsed_s() -> float:
        client.classify("It answers before it is stopped.")
        stop_after_the_first = iter([lambda: os.kill(stoppable_server.pid, signal.SIGSTOP)])
        started = time.monotonic()
        answers = client.classify(
            ["good"] * count,
            timeout=2,
            return_exceptions=True,
            progress=lambda _: next(stop_after_the_first, lambda: None)(),
        )
        took_s = time.monotonic() - started
        os.kill(stoppable_server.pid, signal.SIGCONT)
        kinds = [type(answer) for answer in answers]
        # Of the requests in flight any may be the last that is answered: no order is claimed.
        answered = kinds.count(Classification)
        assert 0 < answered < count
        assert kinds.count(DeadlineError) == count - answered
        return took_s

    assert min(elapsed_s() for _ in range(TRIES)) < 2 * (1 + DEADLINE_TOLERANCE)


def test_a_stopped_server_is_not_ready(
    new_client: Callable[..., Client], stopped_server: LocalServer
) -> None:
    assert new_client(stopped_server.grpc_url, "imdb", timeout=0.3).is_ready() is False


def test_of_many_calls_at_once_each_is_answered_or_refused(small_queue_server: LocalServer) -> None:
    kinds = asyncio.run(_outcomes(small_queue_server.grpc_url, CALLS_AT_ONCE))

    assert kinds.keys() == {"Classification", "OverloadedError"}
    assert kinds.total() == CALLS_AT_ONCE
    assert kinds["Classification"] >= QUEUE_SIZE


async def _outcomes(url: str, count: int) -> Counter[str]:
    async with AsyncClient(url, retry=RetryPolicy(max_attempts=1)) as client:
        await client.labels
        calls = [client.classify("good " * 100, return_exceptions=True) for _ in range(count)]
        return Counter(type(outcome).__name__ for outcome in await asyncio.gather(*calls))


def test_a_full_queue_refuses_at_once(small_queue_server: LocalServer) -> None:
    async def median_refusal_s() -> float:
        async with AsyncClient(small_queue_server.grpc_url, retry=RetryPolicy(max_attempts=1)) as client:
            await client.labels
            # Long texts: the queue must not empty while one process still sends.
            crowd = [asyncio.ensure_future(client.classify("good " * 500)) for _ in range(CALLS_AT_ONCE)]
            await asyncio.wait(crowd, return_when=asyncio.FIRST_EXCEPTION)
            refusals = [task.exception() for task in crowd if task.done() and task.exception()]
            await asyncio.gather(*crowd, return_exceptions=True)
        errors = [error for error in refusals if isinstance(error, OverloadedError)]
        assert errors
        return median(error.elapsed_s for error in errors)

    # The crowd is sent and refused by one Python process: most of this time is its own.
    assert asyncio.run(median_refusal_s()) < 1


def test_overload_is_retried_within_the_budget(small_queue_server: LocalServer) -> None:
    async def attempts_of_failures() -> list[int]:
        policy = RetryPolicy(budget=5, budget_per_s=0, budget_per_answer=0)
        async with AsyncClient(small_queue_server.grpc_url, retry=policy) as client:
            await client.labels
            calls = [client.classify("good " * 200, return_exceptions=True) for _ in range(CALLS_AT_ONCE)]
            outcomes = await asyncio.gather(*calls)
        return [outcome.attempts for outcome in outcomes if isinstance(outcome, BertritonError)]

    attempts = asyncio.run(attempts_of_failures())

    assert attempts
    assert sum(attempts) - len(attempts) <= 5


def test_work_nobody_waits_for_is_dropped_from_the_queue(small_queue_server: LocalServer) -> None:
    count = 640
    limits = RequestLimits(rows=16, in_flight=count // 16)
    with (
        Client(small_queue_server.grpc_url, limits=limits) as client,
        InferenceServerClient(small_queue_server.grpc_url) as triton,
    ):

        def texts_through_the_network() -> int:
            return int(triton.get_inference_statistics("imdb_bert").model_stats[0].inference_count)

        client.classify("It answers before it is drowned.")
        before = texts_through_the_network()
        # The server may refuse what is late just before the client gives it up.
        with pytest.raises((DeadlineError, OverloadedError)):
            client.classify(["good " * 250] * count, timeout=0.3)
        # Waits for its turn behind whatever is left of the others.
        client.classify("good")

        assert texts_through_the_network() - before < count / 2
