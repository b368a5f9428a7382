"""One call of `classify` or `classify_iter`: texts in, results out in the same order."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bertriton._clients.batches import Batch, BatchBuilder, Row, halves
from bertriton._errors import (
    InvalidOptionError,
    InvalidTextError,
    ModelNotFoundError,
    ServiceError,
    UnexpectedAnswerError,
)
from bertriton._types import Classification
from bertriton._wire import END, Attempts, Emit, Flow, Pull, best_labels, classifications, infer_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Iterator, Sequence

    from bertriton._clients.batches import Outcome
    from bertriton._clients.cache import AnswerCache
    from bertriton._clients.directory import Directory
    from bertriton._clients.options import CheckedOptions
    from bertriton._config import RequestLimits
    from bertriton._wire import EncodedText, Sender
    from bertriton.contract import ClassifierInfo


@dataclass(frozen=True)
class Collaborators:
    """What a call needs of its client."""

    sender: Sender
    directory: Directory
    cache: AnswerCache
    limits: RequestLimits
    request_timeout_s: float


@dataclass
class _Sent:
    """A batch whose first try is under way, or that will be sent when its turn comes (no handle)."""

    batch: Batch
    attempts: Attempts
    request: Any = None
    handle: Any = None


class ClassifyCall:
    """The state of one call."""

    def __init__(
        self,
        client: Collaborators,
        options: CheckedOptions,
        *,
        keep_errors: bool,
        call_timeout_s: float = float("inf"),
    ) -> None:
        self._client = client
        self._options = options
        self._keep_errors = keep_errors
        self._deadline_s = time.monotonic() + call_timeout_s
        self._request_id = options.request_id or secrets.token_hex(8)
        self._request_count = 0
        self._version = str(options.version)
        self._info: ClassifierInfo

    def results(self, source: Iterator[object] | AsyncIterator[object]) -> Flow[None]:
        """Emit the results of one batch after the other; requests ahead of it are under way meanwhile."""
        client = self._client
        self._info = yield from client.directory.find(
            client.sender, self._options.model, self._version, self._timeout_s()
        )
        builder = self._batch_builder()
        window: deque[_Sent] = deque()
        ending: _End | None = None
        done = 0
        try:
            while window or ending is None:
                while ending is None and len(window) < client.limits.in_flight:
                    batch, ending = yield from _next_batch(source, builder)
                    alone = ending is not None and not window
                    window.append((yield from self._sent(batch, alone=alone)))
                batch = yield from self._received(window.popleft())
                yield Emit(self._presented(batch))
                done += len(batch.results)
                if self._options.progress is not None:
                    self._options.progress(done)
        finally:
            for sent in window:
                if sent.handle is not None:
                    sent.handle.cancel()
        if ending is not None and ending.error is not None:
            raise ending.error

    def _batch_builder(self) -> BatchBuilder:
        limits, info, max_length = self._client.limits, self._info, self._options.max_length
        if max_length is not None and max_length > info.max_length:
            raise InvalidOptionError(
                f"max_length: model {info.name!r} reads at most {info.max_length} tokens, found {max_length}"
            )
        return BatchBuilder(
            max_rows=min(limits.rows or info.max_batch_size, info.max_batch_size),
            max_request_bytes=limits.request_bytes,
            max_text_bytes=limits.text_bytes,
            known_answer=self._cached if self._client.cache.enabled else _nothing_known,
            keep_errors=self._keep_errors,
        )

    def _timeout_s(self) -> float:
        return min(self._client.request_timeout_s, self._deadline_s - time.monotonic())

    def _new_attempts(self) -> Attempts:
        request_id = f"{self._request_id}-{self._request_count}"
        self._request_count += 1
        asked_s = self._client.request_timeout_s
        return Attempts(self._info.name, self._version, request_id, self._timeout_s(), asked_s)

    def _request(self, rows: Sequence[Row], attempts: Attempts) -> Any:  # noqa: ANN401  # tritonclient is untyped
        return infer_request(
            self._info.name,
            self._version,
            [row.text for row in rows],
            attempts.request_id,
            **self._options.parameters,
        )

    def _sent(self, batch: Batch, *, alone: bool) -> Flow[_Sent]:
        """The batch on its way; one that has no company is sent when it is received, which is quicker."""
        sent = _Sent(batch, self._new_attempts())
        if batch.rows:
            sent.request = self._request(batch.rows, sent.attempts)
            if not alone:
                sent.handle = yield from self._client.sender.start(sent.attempts, sent.request)
        return sent

    def _received(self, sent: _Sent) -> Flow[Batch]:
        if sent.batch.rows:
            yield from self._settle(sent, sent.batch.rows)
        return sent.batch

    def _settle(self, sent: _Sent, rows: Sequence[Row]) -> Flow[None]:
        """Put an outcome into the place of every row."""
        try:
            answers = yield from self._answers(sent, len(rows))
        except InvalidTextError as error:
            yield from self._settle_refused(sent.batch, rows, error)
        except ServiceError as error:
            if isinstance(error, (ModelNotFoundError, UnexpectedAnswerError)):
                self._client.directory.forget(self._info.name)
            if not self._keep_errors:
                raise
            sent.batch.settle(rows, [error] * len(rows))
        else:
            sent.batch.settle(rows, answers)
            if self._client.cache.enabled:
                for row, answer in zip(rows, answers, strict=True):
                    self._client.cache.put(self._cache_key(row.text), answer)

    def _answers(self, sent: _Sent, row_count: int) -> Flow[list[Classification]]:
        client = self._client
        response = yield from client.sender.infer(sent.attempts, sent.request, sent.handle)
        self._info = yield from client.directory.find_answered(
            client.sender, self._info, response.model_version, self._timeout_s()
        )
        try:
            return classifications(response, self._info, row_count)
        except UnexpectedAnswerError as error:
            raise sent.attempts.stamped(error) from None

    def _settle_refused(self, batch: Batch, rows: Sequence[Row], error: InvalidTextError) -> Flow[None]:
        """The server refuses a request for one of its texts: find it, so that the others are answered."""
        if len(rows) > 1:
            for half in halves(rows):
                attempts = self._new_attempts()
                yield from self._settle(_Sent(batch, attempts, self._request(half, attempts)), half)
            return
        error.index = batch.first_index + rows[0].place
        if not self._keep_errors:
            raise error
        batch.settle(rows, [error])

    def _presented(self, batch: Batch) -> list[Outcome | None]:
        top_k = self._options.top_k
        if top_k is None:
            return batch.results
        return [
            best_labels(result, top_k) if isinstance(result, Classification) else result
            for result in batch.results
        ]

    def _cached(self, text: EncodedText) -> Classification | None:
        return self._client.cache.get(self._cache_key(text))

    def _cache_key(self, text: EncodedText) -> Hashable:
        model = self._info.name
        version = self._version or self._client.directory.answered_version(model)
        return (model, version, tuple(self._options.parameters.items()), text)


def _nothing_known(_: EncodedText) -> None:
    """What a client without a cache remembers of a text."""


@dataclass(frozen=True)
class _End:
    """The end of the input, with the error that ended it early."""

    error: Exception | None = None


def _next_batch(source: Any, builder: BatchBuilder) -> Flow[tuple[Batch, _End | None]]:  # noqa: ANN401
    """The next batch, and the end of the input if that is reached.

    An error of the input, or an invalid text, ends it: what came before is answered first.
    """
    asynchronous = hasattr(source, "__anext__")
    try:
        while True:
            text = (yield Pull(source)) if asynchronous else next(source, END)
            if text is END:
                return builder.close(), _End()
            batch = builder.add(text)
            if batch is not None:
                return batch, None
    except Exception as error:  # noqa: BLE001  # whatever the caller's iterator raises is passed on in its place
        return builder.close(), _End(error)
