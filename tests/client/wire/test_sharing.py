"""Calls of one moment share a message, and each gets its own answer, or its own error."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tests.client.conftest import ScriptedTriton
from tritonclient.grpc import service_pb2_grpc

from bertriton import (
    AsyncClient,
    Classification,
    ClientClosedError,
    InvalidTextError,
    OverloadedError,
    RequestLimits,
    RetryPolicy,
)
from bertriton._config import SHARED_TEXT_BYTES, SHARED_TEXTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bertriton_server import LocalServer


PATIENCE_S = 60.0


def asked(
    triton: ScriptedTriton, ask: Callable[[AsyncClient], list[Awaitable[Any]]], **settings: Any
) -> list[Any]:
    """What becomes of calls made at once by a client that knows the model already."""

    async def run() -> list[Any]:
        async with AsyncClient(triton.url, **settings) as client:
            await client.classify("first")
            triton.inferences = 0
            return await asyncio.gather(*ask(client), return_exceptions=True)

    return asyncio.run(run())


def test_calls_of_one_moment_share_messages_and_have_their_own_answers(triton: ScriptedTriton) -> None:
    lengths = [*range(1, 2 * SHARED_TEXTS + 4)]

    answers = asked(triton, lambda client: [client.classify("x" * length) for length in lengths])

    assert [answer.token_count for answer in answers] == lengths
    assert triton.inferences == 3


def test_a_pair_shares_with_pairs_and_options_with_their_like(triton: ScriptedTriton) -> None:
    def ask(client: AsyncClient) -> list[Awaitable[Any]]:
        cut = [client.classify(text, max_length=8) for text in ("a", "b")]
        return [*cut, client.classify("c"), client.classify(("d", "e")), client.classify("f", max_length=9)]

    answers = asked(triton, ask)

    assert all(isinstance(answer, Classification) for answer in answers[:3])
    assert triton.inferences == 4


def test_a_refused_text_is_refused_alone(triton: ScriptedTriton) -> None:
    triton.refused_texts = {b"bad"}
    texts = ["good", "bad", "better"]

    answers = asked(triton, lambda client: [client.classify(text) for text in texts])

    assert isinstance(answers[1], InvalidTextError)
    assert [answer.token_count for answer in (answers[0], answers[2])] == [4, 6]
    assert triton.inferences == 1 + len(texts)


def test_each_call_has_an_error_of_its_own(triton: ScriptedTriton) -> None:
    triton.words = "too many requests"

    def ask(client: AsyncClient) -> list[Awaitable[Any]]:
        triton.failures = [grpc.StatusCode.UNAVAILABLE]
        return [client.classify(text, request_id=text) for text in ("a", "b")]

    errors = asked(triton, ask, retry=RetryPolicy(max_attempts=1))

    assert [type(error) for error in errors] == [OverloadedError] * 2
    assert [error.request_id for error in errors] == ["a-0", "b-0"]


def test_all_calls_of_a_message_that_no_server_took_are_sent_again(triton: ScriptedTriton) -> None:
    def ask(client: AsyncClient) -> list[Awaitable[Any]]:
        triton.failures = [grpc.StatusCode.UNAVAILABLE]
        return [client.classify("x" * length) for length in (1, 2, 3)]

    answers = asked(triton, ask, retry=RetryPolicy(initial_backoff_s=0.001))

    assert [answer.token_count for answer in answers] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "settings", "options"),
    [
        ("short", {"limits": RequestLimits(rows=1)}, [{}, {}]),
        ("x" * SHARED_TEXT_BYTES, {}, [{}, {}]),
        ("short", {}, [{"timeout": 5.0}, {"timeout": 9.0}]),
    ],
    ids=["one row a request", "long texts", "other deadlines"],
)
def test_what_must_not_share_does_not(
    triton: ScriptedTriton, text: str, settings: dict[str, Any], options: list[dict[str, Any]]
) -> None:
    answers = asked(triton, lambda client: [client.classify(text, **one) for one in options], **settings)

    assert [answer.token_count for answer in answers] == [len(text)] * 2
    assert triton.inferences == 2


def test_who_gives_a_call_up_leaves_the_others_to_theirs(triton: ScriptedTriton) -> None:
    async def run() -> list[Any]:
        async with AsyncClient(triton.url) as client:
            await client.classify("first")
            calls = [asyncio.create_task(client.classify("x" * length)) for length in (1, 2, 3)]
            await asyncio.sleep(0)
            calls[0].cancel()
            return await asyncio.gather(*calls, return_exceptions=True)

    given_up, *answers = asyncio.run(run())

    assert isinstance(given_up, asyncio.CancelledError)
    assert [answer.token_count for answer in answers] == [2, 3]


def test_a_client_that_is_closed_meanwhile_leaves_nobody_waiting() -> None:
    class Holder(service_pb2_grpc.GRPCInferenceServiceServicer):
        """Answers what is asked about models, and no inference until the end."""

        def __init__(self, scripted: ScriptedTriton) -> None:
            self.RepositoryIndex, self.ModelConfig = scripted.RepositoryIndex, scripted.ModelConfig
            self.came, self.ends = threading.Event(), threading.Event()

        def ModelInfer(self, _: object, context: Any) -> Any:  # noqa: N802
            self.came.set()
            self.ends.wait(PATIENCE_S)
            context.abort(grpc.StatusCode.UNAVAILABLE, "the end")

    holder = Holder(ScriptedTriton())
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(holder, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def run() -> list[Any]:
        client = AsyncClient(f"127.0.0.1:{port}")
        calls = [asyncio.create_task(client.classify(text)) for text in ("a", "b")]
        await asyncio.to_thread(holder.came.wait, PATIENCE_S)
        await client.close()
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE_S)

    errors = asyncio.run(run())
    holder.ends.set()
    server.stop(None).wait()

    assert [type(error) for error in errors] == [ClientClosedError] * 2


def test_a_client_is_gone_with_its_last_reference(triton: ScriptedTriton) -> None:
    """Its channel must not wait for the collector of garbage, which may run after the event loop's end."""

    async def run() -> weakref.ref[object]:
        async with AsyncClient(triton.url) as client:
            texts = ("a", "b", "c", "d")
            calls = [asyncio.create_task(client.classify(text)) for text in texts]
            await asyncio.gather(*calls, return_exceptions=True)
            given_up = [asyncio.create_task(client.classify(text)) for text in texts]
            await asyncio.sleep(0.001)
            for call in given_up:
                call.cancel()
            await asyncio.gather(*given_up, return_exceptions=True)
            return weakref.ref(client._connection)  # noqa: SLF001

    gc.collect()
    gc.disable()
    try:
        connection = asyncio.run(run())
        assert connection() is None
    finally:
        gc.enable()


def test_shared_answers_are_the_same_bits_as_those_of_a_list(imdb_server: LocalServer) -> None:
    texts = [f"A film of {number} scenes, {'good' if number % 2 else 'bad'}." for number in range(20)]

    async def run() -> tuple[list[Classification], list[Classification]]:
        async with AsyncClient(imdb_server.grpc_url) as client:
            listed = await client.classify(texts)
            return listed, list(await asyncio.gather(*map(client.classify, texts)))

    listed, single = asyncio.run(run())

    assert single == listed
