"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from bertriton._clients.base import BaseClient
from bertriton._clients.sources import DirectSource, ThreadReader, ThreadSignal, read_directly
from bertriton._errors import BertritonError, InvalidTextError
from bertriton._wire import AskPort, Await, Call, Emit, Failed, Run, Sleep, Start, SyncConnection, Wait

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from bertriton._clients.options import CallOptions, RequestOptions
    from bertriton._clients.sources import Source
    from bertriton._types import Classification, RankedDocument, ServedClassifier, Text
    from bertriton._wire import Endpoint, Flow, Step
    from bertriton.contract import ClassifierInfo

T = TypeVar("T")
TextT = TypeVar("TextT", bound="Text")


class Client(BaseClient):
    """Classifies texts on a Triton server and waits for the answers; safe to share between threads.

    `BaseClient` describes the settings. Every error is a `BertritonError`.

    Example:
        >>> with Client("localhost:8001") as client:
        ...     client.classify("What a lovely film.").label
        'pos'
    """

    _connection: SyncConnection

    def _connect(self, endpoint: Endpoint) -> SyncConnection:
        return SyncConnection(endpoint)

    @overload
    def classify(
        self, text: Text, *, return_exceptions: Literal[False] = ..., **options: Unpack[CallOptions]
    ) -> Classification: ...
    @overload
    def classify(
        self, text: list[TextT], *, return_exceptions: Literal[False] = ..., **options: Unpack[CallOptions]
    ) -> list[Classification]: ...
    @overload
    def classify(
        self, text: Text, *, return_exceptions: bool, **options: Unpack[CallOptions]
    ) -> Classification | BertritonError: ...
    @overload
    def classify(
        self, text: list[TextT], *, return_exceptions: bool, **options: Unpack[CallOptions]
    ) -> list[Classification | BertritonError]: ...
    def classify(self, text: Any, *, return_exceptions: bool = False, **options: Unpack[CallOptions]) -> Any:
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
        results = list(self._results(self._classify_flow(text, options, keep_errors=return_exceptions)))
        return results if isinstance(text, list) else results[0]

    @overload
    def classify_iter(
        self,
        texts: Iterable[Text],
        *,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[CallOptions],
    ) -> Generator[Classification, None, None]: ...
    @overload
    def classify_iter(
        self, texts: Iterable[Text], *, return_exceptions: bool, **options: Unpack[CallOptions]
    ) -> Generator[Classification | BertritonError, None, None]: ...
    def classify_iter(
        self, texts: Iterable[Text], *, return_exceptions: bool = False, **options: Unpack[CallOptions]
    ) -> Generator[Any, None, None]:
        """Classify texts as they come and give each result as soon as it is there, in the same order.

        When the input pauses, the texts read so far are sent. Memory stays bounded: no more of the input is
        read than `RequestLimits.in_flight` requests hold. Lists and other collections in memory are read in
        the caller's thread. Any other iterable may block, so it is read in a thread of its own, with the
        caller's context variables. What must stay in its thread, such as a cursor of sqlite3, must be passed
        as lists.

        Leaving the loop early, or `close()` on the generator, cancels requests under way and ends the thread.
        If the iterable blocks, the thread ends at its next text. That text is lost, like those read ahead.

        Args:
            texts: strings and pairs of strings; any iterable.
            return_exceptions: put the error of a text that failed in its place, instead of raising it.
            options: see `CallOptions`; `timeout` bounds each request.

        Raises:
            InvalidTextError: a text is not text, not UTF-8 or too long; `index` says which.
            ServiceError: the server gave no answer; its subclasses say why.

        Example:
            >>> for answer in client.classify_iter(open("reviews.txt")):
            ...     print(answer.label)
        """
        source = _source(texts)
        return self._results(self._stream_flow(source, options, keep_errors=return_exceptions), source)

    def rerank(
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
            >>> client.rerank("capital of France", ["Berlin is in Germany.", "Paris it is."], top_k=1)
            [RankedDocument(1, 0.9731, 'Paris it is.')]
        """
        return self._outcome(self._rerank_flow(query, documents, top_k, options))

    @property
    def info(self) -> ClassifierInfo:
        """Labels, limits and checkpoint of the classifier; the server is asked once."""
        return self._outcome(self._info_flow())

    @property
    def labels(self) -> tuple[str, ...]:
        """The classifier's labels in the order of `logits`; the server is asked once."""
        return self._outcome(self._labels_flow())

    def models(self) -> list[ServedClassifier]:
        """All classifiers of the server, sorted by name.

        Raises:
            ServiceError: the server gave no answer; its subclasses say why.
        """
        return self._outcome(self._models_flow())

    def is_ready(self) -> bool:
        """Whether the classifier classifies a short text now, within the timeout and 5 seconds at most.

        False also if the server cannot be reached, or is too busy to answer in time.
        """
        return self._outcome(self._readiness_flow())

    def close(self) -> None:
        """Close the connection; calls under way fail with `ClientClosedError`."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _outcome(self, flow: Flow[T]) -> T:
        run = Run(flow)
        try:
            step = run.next()
            while step is not None:
                step = run.next(self._perform(step))
        finally:
            run.close()
        return run.result

    def _results(self, flow: Flow[None], source: Source | None = None) -> Generator[Any, None, None]:
        run = Run(flow)
        try:
            step = run.next()
            while step is not None:
                if isinstance(step, Emit):
                    yield from step.results
                step = run.next(self._perform(step))
        finally:
            run.close()
            if isinstance(source, ThreadReader):
                source.join()

    def _perform(self, step: Step) -> object:
        """The outcome of a step: what it gives, or `Failed`."""
        try:
            match step:
                case Call():
                    return self._connection.call(step)
                case AskPort():
                    return self._connection.hint_of(step)
                case Start():
                    return self._connection.start(step)
                case Wait():
                    return self._connection.wait(step)
                case Sleep():
                    time.sleep(step.seconds)
                case Await():
                    if step.reader.must_wait(step.wanted, step.handle):
                        step.reader.signal.wait(step.timeout_s)
        except BertritonError as error:
            return Failed(error)
        return None


def _source(texts: Iterable[object]) -> Source:
    if isinstance(texts, AsyncIterable):
        raise InvalidTextError("an asynchronous iterable needs an AsyncClient")
    return DirectSource(texts) if read_directly(texts) else ThreadReader(texts, ThreadSignal)
