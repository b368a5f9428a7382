"""The asynchronous client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from bertriton._clients.base import BaseClient
from bertriton._errors import BertritonError
from bertriton._wire import END, AsyncConnection, Call, Emit, Failed, Pull, Run, Sleep, Start, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterable
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from bertriton._clients.options import CallOptions
    from bertriton._types import Classification, ServedClassifier, Text
    from bertriton._wire import Endpoint, Flow, Step
    from bertriton.contract import ClassifierInfo

T = TypeVar("T")
TextT = TypeVar("TextT", bound="Text")


class AsyncClient(BaseClient):
    """Classifies texts on a Triton server without blocking; the twin of `Client`.

    The settings are those of `BaseClient`. A client belongs to the event loop of its first request, and any
    number of its tasks may share it. Every error is a `BertritonError`.

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
            return_exceptions: give the error in the place of a text that failed instead of raising it.
            options: see `CallOptions`; `timeout` bounds the whole call, the client's own each request.

        Raises:
            InvalidTextError: an input is not text, not UTF-8 or too long; `index` says which.
            ServiceError: no answer, see the tree of `bertriton` errors.
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
        """Classify texts as they come and give the results as they are there, in the same order.

        Memory stays bounded: no more of the input is read than `RequestLimits.in_flight` requests hold.
        Leaving the loop early, or `aclose()` on what is returned, cancels what is under way. A
        synchronous iterable is read in the event loop: it must not block.

        Example:
            >>> async for answer in client.classify_iter(reviews):
            ...     print(answer.label)
        """
        return self._results(self._stream_flow(texts, options, keep_errors=return_exceptions))

    @property
    def info(self) -> Awaitable[ClassifierInfo]:
        """Labels, limits and checkpoint of the classifier, to be awaited; asked of the server once."""
        return self._outcome(self._info_flow())

    @property
    def labels(self) -> Awaitable[tuple[str, ...]]:
        """The classifier's labels in the order of `logits`, to be awaited; asked of the server once."""
        return self._outcome(self._labels_flow())

    async def models(self) -> list[ServedClassifier]:
        """All classifiers of the server, sorted by name."""
        return await self._outcome(self._models_flow())

    async def is_ready(self) -> bool:
        """Whether the classifier answers now; False also when the server cannot be reached."""
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
        step = run.next()
        while step is not None:
            step = run.next(await self._perform(step))
        return run.result

    async def _results(self, flow: Flow[None]) -> AsyncGenerator[Any, None]:
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

    async def _perform(self, step: Step) -> object:
        """The outcome of a step: what it gives, or `Failed`."""
        try:
            match step:
                case Call():
                    return await self._connection.call(step)
                case Start():
                    return await self._connection.start(step)
                case Wait():
                    return await self._connection.wait(step)
                case Sleep():
                    await asyncio.sleep(step.seconds)
                case Pull():
                    return await _next_item(step.source)
        except BertritonError as error:
            return Failed(error)
        return None


async def _next_item(source: AsyncIterator[object]) -> object:
    """The next item, `END`, or the failure of the caller's iterator."""
    try:
        return await anext(source, END)
    except Exception as error:  # noqa: BLE001
        return Failed(error)
