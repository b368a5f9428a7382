"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from bertriton._clients.base import BaseClient
from bertriton._clients.sources import (
    DirectSource,
    LoopSignal,
    TaskReader,
    ThreadReader,
    read_directly,
)
from bertriton._errors import BertritonError
from bertriton._wire import AskPort, AsyncConnection, Await, Call, Emit, Failed, Run, Sleep, Start, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from bertriton._clients.options import CallOptions, RequestOptions
    from bertriton._clients.sources import Source
    from bertriton._types import Classification, RankedDocument, ServedClassifier, Text
    from bertriton._wire import Endpoint, Flow, Step
    from bertriton.contract import ClassifierInfo

T = TypeVar("T")
TextT = TypeVar("TextT", bound="Text")


class AsyncClient(BaseClient):
    """Classifies texts on a Triton server without blocking; the twin of `Client`.

    `BaseClient` describes the settings. A client belongs to the event loop of its first request, and any
    number of its tasks may share it. Short texts asked for in one pass of the loop share requests, up to
    eight in each, unless `RequestLimits.rows` is 1. Every error is a `BertritonError`.

    Example:
        >>> async with AsyncClient("localhost:8001") as client:
        ...     print((await client.classify("What a lovely film.")).label)
        pos
    """

    _connection: AsyncConnection

    def _connect(self, endpoint: Endpoint) -> AsyncConnection:
        return AsyncConnection(endpoint)

    @overload
    async def classify(
        self, text: Text, *, return_exceptions: Literal[False] = ..., **options: Unpack[CallOptions]
    ) -> Classification: ...
    @overload
    async def classify(
        self, text: list[TextT], *, return_exceptions: Literal[False] = ..., **options: Unpack[CallOptions]
    ) -> list[Classification]: ...
    @overload
    async def classify(
        self, text: Text, *, return_exceptions: bool, **options: Unpack[CallOptions]
    ) -> Classification | BertritonError: ...
    @overload
    async def classify(
        self, text: list[TextT], *, return_exceptions: bool, **options: Unpack[CallOptions]
    ) -> list[Classification | BertritonError]: ...
    async def classify(
        self, text: Any, *, return_exceptions: bool = False, **options: Unpack[CallOptions]
    ) -> Any:
        """Classify one text, one pair of texts, or a list of them.

        A list is sent in requests of the server's size, several at a time, and comes back in its own order.

        Args:
            text: a string, a tuple of two strings, or a list of either.
            return_exceptions: put the error of a text that failed in its place, instead of raising it.
            options: see `CallOptions`; `timeout` bounds the whole call, the client's own each request.

        Raises:
            InvalidTextError: an input is not text, not UTF-8 or too long; `index` says which.
            ServiceError: the server gave no answer; its subclasses say why.
        """
        results = [
            result
            async for result in self._results(
                self._classify_flow(text, options, keep_errors=return_exceptions)
            )
        ]
        return results if isinstance(text, list) else results[0]

    @overload
    def classify_iter(
        self,
        texts: Iterable[Text] | AsyncIterable[Text],
        *,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[Classification, None]: ...
    @overload
    def classify_iter(
        self,
        texts: Iterable[Text] | AsyncIterable[Text],
        *,
        return_exceptions: bool,
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[Classification | BertritonError, None]: ...
    def classify_iter(
        self,
        texts: Iterable[Text] | AsyncIterable[Text],
        *,
        return_exceptions: bool = False,
        **options: Unpack[CallOptions],
    ) -> AsyncGenerator[Any, None]:
        """Classify texts as they come and give each result as soon as it is there, in the same order.

        When the input pauses, what it has given is sent. Memory stays bounded: no more of the input is read
        than `RequestLimits.in_flight` requests hold. An asynchronous iterable is read in a task of its own.
        Of the others, lists and other collections in memory are read where they are; the rest may block, and
        is read in a thread of its own with the caller's context variables.

        `aclose()` on what is returned cancels what is under way, the wait for the next text included, and is
        to come before the iterable itself is closed; what was read ahead is lost.

        Example:
            >>> async for answer in client.classify_iter(reviews):
            ...     print(answer.label)
        """
        source = _source(texts)
        return self._results(self._stream_flow(source, options, keep_errors=return_exceptions), source)

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_k: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> list[RankedDocument]:
        """Sort documents by how well they answer a query, best first.

        The model is a reranker, which gives a pair of texts one logit. Query and documents are sent as pairs,
        in requests of the server's size; `score` is the sigmoid of the logit.

        Args:
            query: what is looked for.
            documents: what it is looked for in.
            top_k: documents given back; left out: all.
            options: see `RequestOptions`; `timeout` bounds the whole call, the client's own each request.

        Raises:
            InvalidTextError: an input is not text, not UTF-8 or too long; `index` says which document.
            InvalidOptionError: `top_k` is below 1, or the model has more than one logit.
            ServiceError: the server gave no answer; its subclasses say why.

        Example:
            >>> await client.rerank("capital of France", ["Berlin is in Germany.", "Paris it is."], top_k=1)
            [RankedDocument(1, 0.9731, 'Paris it is.')]
        """
        return await self._outcome(self._rerank_flow(query, documents, top_k, options))

    @property
    def info(self) -> Awaitable[ClassifierInfo]:
        """Labels, limits and checkpoint of the classifier, to be awaited; the server is asked once."""
        return self._outcome(self._info_flow())

    @property
    def labels(self) -> Awaitable[tuple[str, ...]]:
        """The classifier's labels in the order of `logits`, to be awaited; the server is asked once."""
        return self._outcome(self._labels_flow())

    async def models(self) -> list[ServedClassifier]:
        """All classifiers of the server, sorted by name.

        Raises:
            ServiceError: the server gave no answer; its subclasses say why.
        """
        return await self._outcome(self._models_flow())

    async def is_ready(self) -> bool:
        """Whether the classifier classifies a short text now, within the timeout and 5 seconds at most.

        False also if the server cannot be reached, or is too busy to answer in time.
        """
        return await self._outcome(self._readiness_flow())

    async def close(self) -> None:
        """Close the connection; calls under way fail with `ClientClosedError`."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _outcome(self, flow: Flow[T]) -> T:
        run = Run(flow)
        try:
            step = run.next()
            while step is not None:
                step = run.next(await self._perform(step))
        finally:
            run.close()
        return run.result

    async def _results(self, flow: Flow[None], source: Source | None = None) -> AsyncGenerator[Any, None]:
        run = Run(flow)
        try:
            step = run.next()
            while step is not None:
                if isinstance(step, Emit):
                    for result in step.results:
                        yield result
                step = run.next(await self._perform(step))
        finally:
            run.close()
            if isinstance(source, ThreadReader | TaskReader):
                await source.wait_closed()

    async def _perform(self, step: Step) -> object:
        """The outcome of a step: what it gives, or `Failed`."""
        try:
            match step:
                case Call():
                    return await self._connection.call(step)
                case AskPort():
                    return await self._connection.hint_of(step)
                case Start():
                    return await self._connection.start(step)
                case Wait():
                    return await self._connection.wait(step)
                case Sleep():
                    await asyncio.sleep(step.seconds)
                case Await():
                    if step.reader.must_wait(step.wanted, step.handle):
                        await step.reader.signal.wait(step.timeout_s)
        except BertritonError as error:
            return Failed(error)
        return None


def _source(texts: Iterable[object] | AsyncIterable[object]) -> Source:
    if isinstance(texts, AsyncIterable):
        return TaskReader(texts)
    return DirectSource(texts) if read_directly(texts) else ThreadReader(texts, LoopSignal)
