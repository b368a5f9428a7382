"""A user's script that touches the whole public surface; type checkers read it, nobody runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator

from typing_extensions import assert_type

from bertriton import (
    AsyncClient,
    BertritonError,
    Classification,
    ClassifierInfo,
    Client,
    OverloadedError,
    RankedDocument,
    RequestLimits,
    RetryPolicy,
    ServedClassifier,
    Text,
    Tls,
)


def blocking() -> None:
    """Every method of the blocking client."""
    with Client("localhost:8001", "imdb", timeout=5, retry=RetryPolicy(), tls=Tls(), token="t") as client:  # noqa: S106
        assert_type(client.classify("one"), Classification)
        assert_type(client.classify(("one", "pair")), Classification)
        assert_type(client.classify(["several"]), list[Classification])
        assert_type(client.classify([("several", "pairs")]), list[Classification])
        mixed: list[Text] = ["one", ("one", "pair")]
        assert_type(client.classify(mixed, top_k=2, truncation="head_tail"), list[Classification])
        assert_type(client.classify("one", return_exceptions=True), Classification | BertritonError)
        assert_type(client.classify(["one"], return_exceptions=True), list[Classification | BertritonError])
        assert_type(client.classify_iter(iter(["one"])), Generator[Classification, None, None])
        assert_type(
            client.classify_iter(["one"], return_exceptions=True),
            Generator[Classification | BertritonError, None, None],
        )
        assert_type(
            client.classify(["one"], candidate_labels=("war", "peace"), multi_label=True),
            list[Classification],
        )
        assert_type(client.rerank("query", ["one"], top_k=1, truncation="tail"), list[RankedDocument])
        assert_type(client.labels, tuple[str, ...])
        assert_type(client.info, ClassifierInfo)
        assert_type(client.models(), list[ServedClassifier])
        assert_type(client.is_ready(), bool)
        assert_type(client.with_options(timeout=1, limits=RequestLimits(rows=8)), Client)
        try:
            client.classify("one", timeout=0.5, request_id="r1", version=2, max_length=128)
        except OverloadedError as error:
            assert_type(error.attempts, int)
            assert_type(error.model, str | None)


async def asynchronous(texts: AsyncIterator[str]) -> None:
    """Every method of the asynchronous client."""
    async with AsyncClient() as client:
        assert_type(await client.classify("one"), Classification)
        assert_type(await client.classify(["several"]), list[Classification])
        assert_type(
            await client.classify(["one"], return_exceptions=True), list[Classification | BertritonError]
        )
        assert_type(client.classify_iter(texts), AsyncGenerator[Classification, None])
        assert_type(client.classify_iter(["one"]), AsyncGenerator[Classification, None])
        assert_type(await client.rerank("query", ["one"]), list[RankedDocument])
        assert_type(await client.labels, tuple[str, ...])
        assert_type(await client.info, ClassifierInfo)
        assert_type(await client.models(), list[ServedClassifier])
        assert_type(await client.is_ready(), bool)
        assert_type(client.with_options(model=None), AsyncClient)
