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
from typing import TYPE_CHECKING, Any

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
LONG_TEXT = "good " * 500  # so many take longer to classify than to send
DEADLINE_TOLERANCE = 0.1
TRIES = 3  # a machine with other work may be late once
PATIENCE_S = 60.0


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

    with pytest.raises(ConnectionFailedError) as caught:
        client.classify("Nobody is there.")

    assert caught.value.retryable
    assert caught.value.attempts > 1


@pytest.mark.timed
def test_a_server_that_stays_away_is_told_within_the_deadline(
    new_client: Callable[..., Client], own_server: LocalServer
) -> None:
    client = new_client(own_server.grpc_url, timeout=1)
    client.classify("It answers before it is killed.")
    os.kill(own_server.pid, signal.SIGKILL)

    elapsed_s = [_elapsed_s(lambda: client.classify("No."), ConnectionFailedError) for _ in range(TRIES)]

    assert min(elapsed_s) < 1 + DEADLINE_TOLERANCE


@pytest.mark.parametrize("count", [1, 500])
def test_a_call_to_a_stopped_server_ends_at_its_deadline(
    new_client: Callable[..., Client], stopped_server: LocalServer, count: int
) -> None:
    with_own_timeout = new_client(stopped_server.grpc_url, "imdb", timeout=0.5)

    assert 0.9 * 0.5 < _elapsed_s(lambda: with_own_timeout.classify(["text"] * count)) < PATIENCE_S
    assert 0.9 < _elapsed_s(lambda: with_own_timeout.classify(["text"] * count, timeout=1)) < PATIENCE_S


@pytest.mark.timed
@pytest.mark.parametrize("timeout", [0.3, 1.0])
@pytest.mark.parametrize("count", [1, 500])
def test_deadlines_are_kept_within_a_tenth(
    new_client: Callable[..., Client], stopped_server: LocalServer, timeout: float, count: int
) -> None:
    client = new_client(stopped_server.grpc_url, "imdb", timeout=timeout)

    least_s = min(_elapsed_s(lambda: client.classify(["text"] * count)) for _ in range(TRIES))

    assert least_s < timeout * (1 + DEADLINE_TOLERANCE)


def _elapsed_s(call: Callable[[], object], expected: type[BertritonError] = DeadlineError) -> float:
    """How long a call took that nobody answers."""
    started_s = time.monotonic()
    with pytest.raises(expected) as caught:
        call()
    assert caught.value.retryable
    return time.monotonic() - started_s


def test_at_the_deadline_every_unanswered_text_gets_the_error(
    new_client: Callable[..., Client], stoppable_server: LocalServer
) -> None:
    count = 2000

    kinds, _ = _kinds_of_a_stop(new_client(stoppable_server.grpc_url), stoppable_server, count, timeout=5)

    # Of the requests in flight any may be the last that is answered: no order is claimed.
    answered = kinds.count(Classification)
    assert 0 < answered < count
    assert kinds.count(DeadlineError) == count - answered


@pytest.mark.timed
def test_the_deadline_of_many_texts_is_kept_within_a_tenth(
    new_client: Callable[..., Client], stoppable_server: LocalServer
) -> None:
    client = new_client(stoppable_server.grpc_url)

    stops = [_kinds_of_a_stop(client, stoppable_server, 2000, timeout=2) for _ in range(TRIES)]

    assert min(took_s for _, took_s in stops) < 2 * (1 + DEADLINE_TOLERANCE)


def _kinds_of_a_stop(
    client: Client, server: LocalServer, count: int, timeout: float
) -> tuple[list[type], float]:
    """What comes for texts whose server is stopped after the first ones, and after how many seconds."""
    client.classify("It answers before it is stopped.")
    stop_after_the_first = iter([lambda: os.kill(server.pid, signal.SIGSTOP)])
    started_s = time.monotonic()
    answers = client.classify(
        ["good"] * count,
        timeout=timeout,
        return_exceptions=True,
        progress=lambda _: next(stop_after_the_first, lambda: None)(),
    )
    took_s = time.monotonic() - started_s
    os.kill(server.pid, signal.SIGCONT)
    return [type(answer) for answer in answers], took_s


def test_a_stopped_server_is_not_ready(
    new_client: Callable[..., Client], stopped_server: LocalServer
) -> None:
    assert new_client(stopped_server.grpc_url, "imdb", timeout=0.3).is_ready() is False


def test_of_many_calls_at_once_each_is_answered_or_refused_at_once(small_queue_server: LocalServer) -> None:
    answered, ended = asyncio.run(_crowd(small_queue_server.grpc_url))

    kinds = Counter(type(each).__name__ for each in ended)
    assert kinds.keys() == {"Classification", "OverloadedError"}
    assert kinds["Classification"] >= QUEUE_SIZE
    # A text is refused when it comes, not when its turn does: those before it still wait.
    assert answered < kinds["Classification"] / 2


@pytest.mark.timed
def test_a_full_queue_refuses_within_a_second(small_queue_server: LocalServer) -> None:
    _, ended = asyncio.run(_crowd(small_queue_server.grpc_url))

    assert median(each.elapsed_s for each in ended if isinstance(each, OverloadedError)) < 1


async def _crowd(url: str) -> tuple[int, list[Any]]:
    """How many of many calls are answered when the first is refused, and how each ends."""
    async with AsyncClient(url, retry=RetryPolicy(max_attempts=1)) as client:
        await client.labels
        calls = [asyncio.ensure_future(client.classify(LONG_TEXT)) for _ in range(CALLS_AT_ONCE)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        answered = sum(call.done() and not call.exception() for call in calls)
        return answered, await asyncio.gather(*calls, return_exceptions=True)


def test_overload_is_retried_within_the_budget(small_queue_server: LocalServer) -> None:
    async def attempts_of_failures() -> list[int]:
        policy = RetryPolicy(budget=5, budget_per_s=0, budget_per_answer=0)
        async with AsyncClient(small_queue_server.grpc_url, retry=policy) as client:
            await client.labels
            calls = [client.classify(LONG_TEXT, return_exceptions=True) for _ in range(CALLS_AT_ONCE)]
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
