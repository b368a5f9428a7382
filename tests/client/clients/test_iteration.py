"""Streams of texts: results come early, in order, and nothing piles up."""

from __future__ import annotations

import asyncio
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import AsyncClient, Client, InvalidTextError, RequestLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bertriton_server import LocalServer

LIMITS = RequestLimits(rows=4, in_flight=3)
# Rows that may be read before the first result is out: those of all requests under way.
READ_AHEAD = 4 * 3


@pytest.fixture
def client(new_client: Callable[..., Client], imdb_server: LocalServer) -> Client:
    return new_client(imdb_server.grpc_url, limits=LIMITS)


class Numbered:
    """An endless source of texts that tells how many were taken; the n-th has n % 50 + 3 tokens."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        for number in count():
            self.taken += 1
            yield "good " * (1 + number % 50)


def test_results_come_in_order_before_the_input_ends(client: Client) -> None:
    answers = islice(client.classify_iter(Numbered()), 200)

    assert [3 + number % 50 for number in range(200)] == [answer.token_count for answer in answers]


def test_no_more_is_read_than_the_requests_under_way_hold(client: Client) -> None:
    source = Numbered()
    answers = client.classify_iter(source)

    for given in range(1, 100):
        next(answers)
        assert source.taken - given <= READ_AHEAD


def test_a_stream_without_texts_has_no_results(client: Client) -> None:
    assert list(client.classify_iter([])) == []


def test_progress_counts_the_texts_done(client: Client) -> None:
    seen: list[int] = []

    list(client.classify_iter(["text"] * 10, progress=seen.append))

    assert seen == [4, 8, 10]


def test_an_error_of_the_source_comes_after_the_results_before_it(client: Client) -> None:
    def broken() -> Iterator[str]:
        yield from ["text"] * 6
        raise OSError("disk on fire")

    answers = client.classify_iter(broken())

    assert len(list(islice(answers, 6))) == 6
    with pytest.raises(OSError, match="disk on fire"):
        next(answers)


def test_an_invalid_text_comes_after_the_results_before_it(client: Client) -> None:
    answers = client.classify_iter(["text"] * 6 + ["\ud800"])

    assert len(list(islice(answers, 6))) == 6
    with pytest.raises(InvalidTextError) as caught:
        next(answers)
    assert caught.value.index == 6


def test_errors_can_stand_in_their_places(client: Client) -> None:
    texts: list[Any] = ["text", None] * 20

    answers = list(client.classify_iter(texts, return_exceptions=True))

    assert [index for index, answer in enumerate(answers) if isinstance(answer, InvalidTextError)] == [
        *range(1, 40, 2)
    ]


def test_a_text_that_the_server_refuses_does_not_fail_its_neighbours(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    # Over the server's own limit, which the client would keep if it were not told otherwise.
    too_long = "x" * (3 * 1024 * 1024)
    limits = RequestLimits(text_bytes=len(too_long), request_bytes=2 * len(too_long))
    client = new_client(imdb_server.grpc_url, limits=limits)

    answers = client.classify(["one"] * 5 + [too_long] + ["two words"] * 7, return_exceptions=True)

    assert [3] * 5 + [4] * 7 == [answer.token_count for answer in answers[:5] + answers[6:]]
    assert isinstance(answers[5], InvalidTextError)
    assert answers[5].index == 5


def test_a_text_that_the_server_refuses_is_named_by_its_place(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    too_long = "x" * (3 * 1024 * 1024)
    limits = RequestLimits(text_bytes=len(too_long), request_bytes=2 * len(too_long))
    client = new_client(imdb_server.grpc_url, limits=limits)

    with pytest.raises(InvalidTextError) as caught:
        client.classify(["one"] * 3 + [too_long, "two"])

    assert caught.value.index == 3
    assert caught.value.request_id


@pytest.mark.parametrize("texts", ["a text", ("a", "pair"), b"bytes"])
def test_one_text_is_no_stream(client: Client, texts: Any) -> None:  # wrong on purpose
    with pytest.raises(InvalidTextError, match="iterable of texts"):
        list(client.classify_iter(texts))


def test_an_asynchronous_source_is_read_as_it_comes(imdb_server: LocalServer) -> None:
    taken = 0

    async def source() -> AsyncIterator[str]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            await asyncio.sleep(0)
            yield "good " * (1 + number % 50)

    async def first_twenty() -> list[int]:
        async with AsyncClient(imdb_server.grpc_url, limits=LIMITS) as client:
            counts: list[int] = []
            async for answer in client.classify_iter(source()):
                counts.append(answer.token_count)
                if len(counts) == 20:
                    break
            return counts

    assert asyncio.run(first_twenty()) == [3 + number for number in range(20)]
    assert taken <= 20 + READ_AHEAD


def test_an_error_of_an_asynchronous_source_comes_in_its_place(imdb_server: LocalServer) -> None:
    async def broken() -> AsyncIterator[str]:
        for _ in range(6):
            yield "text"
        raise OSError("disk on fire")

    async def results_before_the_error() -> int:
        done = 0
        async with AsyncClient(imdb_server.grpc_url, limits=LIMITS) as client:
            results = client.classify_iter(broken())
            for _ in range(6):
                await anext(results)
                done += 1
            with pytest.raises(OSError, match="disk on fire"):
                await anext(results)
        return done

    assert asyncio.run(results_before_the_error()) == 6


def test_a_blocking_client_refuses_an_asynchronous_source(imdb_server: LocalServer) -> None:
    async def source() -> AsyncIterator[str]:
        yield "text"

    with Client(imdb_server.grpc_url) as client, pytest.raises(InvalidTextError, match="AsyncClient"):
        list(client.classify_iter(source()))  # type: ignore[call-overload]
