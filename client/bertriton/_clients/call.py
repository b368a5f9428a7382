"""One call of `classify` or `classify_iter`: texts in, results out in the same order."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bertriton._clients.batches import Batch, BatchBuilder, Row, halves
from bertriton._clients.expanded import ExpandedSource
from bertriton._clients.intake import Intake
from bertriton._clients.sources import DirectSource
from bertriton._errors import (
    InvalidOptionError,
    InvalidTextError,
    ModelNotFoundError,
    ServiceError,
    UnexpectedAnswerError,
)
from bertriton._telemetry import NO_TELEMETRY, SILENT_CALL
from bertriton._types import Classification
from bertriton._wire import (
    Attempts,
    Await,
    Emit,
    Flow,
    answered_fingerprint,
    best_labels,
    classifications,
    infer_request,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from bertriton._clients.batches import Outcome
    from bertriton._clients.cache import AnswerCache
    from bertriton._clients.directory import Directory
    from bertriton._clients.options import CheckedOptions
    from bertriton._clients.sources import Source
    from bertriton._clients.tasks import Task
    from bertriton._config import RequestLimits
    from bertriton._telemetry import Telemetry
    from bertriton._wire import EncodedText, Sender
    from bertriton.contract import ClassifierInfo

T = TypeVar("T")

ONE_MODEL_ATTEMPTS: Final = 16  # further requests for an answer of the one model, where replicas differ


@dataclass(frozen=True)
class Collaborators:
    """What a call needs of its client."""

    sender: Sender
    directory: Directory
    cache: AnswerCache
    limits: RequestLimits
    request_timeout_s: float
    telemetry: Telemetry


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
        task: Task,
        *,
        keep_errors: bool,
        call_timeout_s: float = float("inf"),
    ) -> None:
        self._client = client
        self._options = options
        self._task = task
        self._unjoined: list[Outcome] = []  # of the rows of a text that has not all of them yet
        self._answered_by = ""  # fingerprint of the last answer that came from the server
        self._gathered: list[Any] = []  # results that are not emitted, since all make one answer
        self._keep_errors = keep_errors
        self._deadline_s = time.monotonic() + call_timeout_s
        self._request_id = options.request_id or secrets.token_hex(8)
        self._request_count = 0
        self._done_count = 0
        self._version = str(options.version)
        self._info: ClassifierInfo
        self._trace = SILENT_CALL

    def results(self, source: Source) -> Flow[None]:
        """Emit the results of one batch after the other; requests ahead of it are under way meanwhile."""
        return self._told(self._results(source))

    def whole(self, texts: Sequence[object]) -> Flow[list[Any]]:
        """The answers to texts that make one answer together, of one model if one goes on answering."""
        return self._told(self._whole(texts))

    def _told(self, flow: Flow[T]) -> Flow[T]:
        return flow if self._client.telemetry is NO_TELEMETRY else self._traced(flow)

    def _traced(self, flow: Flow[T]) -> Flow[T]:
        self._trace = self._client.telemetry.call(self._task.name)
        try:
            result = yield from flow
        except BaseException as error:  # a caller who leaves included
            self._trace.ended(self._done_count, error)
            raise
        self._trace.ended(self._done_count)
        return result

    def _whole(self, texts: Sequence[object]) -> Flow[list[Any]]:
        answers = yield from self._all_gathered(texts)
        if len({answer.fingerprint for answer in answers}) > 1:
            # The model was replaced meanwhile, or what the cache knew is of one that is gone.
            old = [place for place, one in enumerate(answers) if one.fingerprint != self._answered_by]
            self._done_count = len(answers) - len(old)
            anew = yield from self._all_gathered([texts[place] for place in old])
            for place, answer in zip(old, anew, strict=True):
                answers[place] = answer
        return answers

    def _all_gathered(self, texts: Sequence[object]) -> Flow[list[Any]]:
        yield from self._results(DirectSource(texts))
        gathered, self._gathered = self._gathered, []
        return gathered

    def _results(self, source: Source) -> Flow[None]:
        client = self._client
        self._info = yield from self._able_model()
        self._trace.found(self._info.name, self._version)
        if self._task.expands:
            source = ExpandedSource(source, self._task)
        intake = Intake(source, self._batch_builder())
        source.bound(
            self._max_rows() * client.limits.in_flight, client.limits.request_bytes * client.limits.in_flight
        )
        window: deque[_Sent] = deque()
        try:
            while window or not intake.has_ended:
                while len(window) < client.limits.in_flight and (batch := intake.batch(idle=not window)):
                    alone = intake.has_ended and not window
                    window.append((yield from self._sent(batch, alone=alone)))
                if window and (intake.has_ended or self._is_next(window)):
                    yield from self._emitted((yield from self._received(window.popleft())), source)
                elif not intake.has_ended:
                    handle = window[0].handle if window else None
                    yield Await(source, intake.wanted, handle, intake.wait_s(idle=not window))
        finally:
            source.close()
            for sent in window:
                if sent.handle is not None:
                    sent.handle.cancel()
                sent.attempts.trace.ended(sent.attempts.count, GeneratorExit())
        if intake.error is not None:
            raise intake.error

    def _able_model(self) -> Flow[ClassifierInfo]:
        """The model; before one is refused the server is asked anew, which may have another by now."""
        info = yield from self._found()
        try:
            self._require_able(info)
        except InvalidOptionError:
            self._client.directory.forget(info.name)
            info = yield from self._found()
            self._require_able(info)
        return info

    def _found(self) -> Flow[ClassifierInfo]:
        client = self._client
        return client.directory.find(client.sender, self._options.model, self._version, self._timeout_s())

    def _require_able(self, info: ClassifierInfo) -> None:
        self._task.require(info)
        max_length = self._options.max_length
        if max_length is not None and max_length > info.max_length:
            raise InvalidOptionError(
                f"max_length: model {info.name!r} reads at most {info.max_length} tokens, found {max_length}"
            )

    def _is_next(self, window: deque[_Sent]) -> bool:
        """Whether nothing can be done before the oldest answer is received."""
        handle = window[0].handle
        return len(window) >= self._client.limits.in_flight or handle is None or handle.done()

    def _emitted(self, batch: Batch, source: Source) -> Flow[None]:
        results = self._joined(batch)
        if self._task.is_one_answer:
            self._gathered += results
        else:
            yield Emit(self._presented(results))
        source.release(len(batch.results))
        self._done_count += len(results)
        if results and self._options.progress is not None:
            self._options.progress(self._done_count)

    def _batch_builder(self) -> BatchBuilder:
        limits = self._client.limits
        return BatchBuilder(
            max_rows=self._max_rows(),
            max_request_bytes=limits.request_bytes,
            max_text_bytes=limits.text_bytes,
            known_answer=self._cached if self._client.cache.enabled else _nothing_known,
            keep_errors=self._keep_errors,
            rows_per_text=self._task.rows_per_text,
        )

    def _max_rows(self) -> int:
        return min(self._client.limits.rows or self._info.max_batch_size, self._info.max_batch_size)

    def _timeout_s(self) -> float:
        return min(self._client.request_timeout_s, self._deadline_s - time.monotonic())

    def _new_attempts(self, rows: int) -> Attempts:
        request_id = f"{self._request_id}-{self._request_count}"
        self._request_count += 1
        asked_s = self._client.request_timeout_s
        attempts = Attempts(self._info.name, self._version, request_id, self._timeout_s(), asked_s)
        if rows:
            attempts.trace = self._trace.request(rows, request_id)
        if rows == 1:
            attempts.max_rows = self._max_rows()
        return attempts

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
        sent = _Sent(batch, self._new_attempts(len(batch.rows)))
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
            answers = yield from self._answers(sent, rows)
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
                    self._client.cache.put(self._cache_key(row.text, answer.fingerprint), answer)

    def _answers(self, sent: _Sent, rows: Sequence[Row]) -> Flow[list[Classification]]:
        """Of the model that began what the rows go on with, if it still answers: replicas may differ."""
        begun_by = self._answered_by if self._goes_on(sent.batch, rows) else ""
        info, answers = yield from self._read(sent, len(rows))
        for _ in range(ONE_MODEL_ATTEMPTS if begun_by else 0):
            if info.fingerprint == begun_by:
                break
            info, answers = yield from self._read(self._anew(sent.batch, rows), len(rows))
        self._answered_by = info.fingerprint
        self._task.require(info)
        return answers

    def _goes_on(self, batch: Batch, rows: Sequence[Row]) -> bool:
        """Whether the first of the rows belongs to the answer that the row before it belongs to."""
        is_inside_text = (batch.first_index + rows[0].place) % self._task.rows_per_text > 0
        return self._task.is_one_answer or is_inside_text

    def _anew(self, batch: Batch, rows: Sequence[Row]) -> _Sent:
        """Some rows of a batch in a request of their own."""
        attempts = self._new_attempts(len(rows))
        return _Sent(batch, attempts, self._request(rows, attempts))

    def _read(self, sent: _Sent, row_count: int) -> Flow[tuple[ClassifierInfo, list[Classification]]]:
        client = self._client

        def read(response: Any) -> Flow[tuple[ClassifierInfo, list[Classification]]]:  # noqa: ANN401
            fingerprint = answered_fingerprint(response, row_count)
            info = yield from client.directory.find_answered(
                client.sender, self._info.name, self._version, fingerprint, sent.attempts.remaining_s()
            )
            return info, classifications(response, info, row_count)

        return (yield from client.sender.infer(sent.attempts, sent.request, sent.handle, read))

    def _settle_refused(self, batch: Batch, rows: Sequence[Row], error: InvalidTextError) -> Flow[None]:
        """The server refuses a request for one of its texts: find it, so that the others are answered."""
        if len(rows) > 1:
            for half in halves(rows):
                yield from self._settle(self._anew(batch, half), half)
            return
        error.index = (batch.first_index + rows[0].place) // self._task.rows_per_text
        if not self._keep_errors:
            raise error
        batch.settle(rows, [error])

    def _joined(self, batch: Batch) -> list[Outcome]:
        """The outcomes of texts, of which a batch may end one and begin another."""
        rows = self._unjoined + [result for result in batch.results if result is not None]
        size = self._task.rows_per_text
        whole = len(rows) - len(rows) % size
        self._unjoined = rows[whole:]
        return [self._task_answer(rows[start : start + size]) for start in range(0, whole, size)]

    def _task_answer(self, outcomes: Sequence[Outcome]) -> Outcome:
        try:
            return self._task.answer(outcomes)
        except ServiceError as error:
            if not self._keep_errors:
                raise
            return error

    def _presented(self, results: list[Outcome]) -> list[Outcome]:
        top_k = self._options.top_k
        if top_k is None:
            return results
        return [
            best_labels(result, top_k) if isinstance(result, Classification) else result for result in results
        ]

    def _cached(self, text: EncodedText) -> Classification | None:
        last = self._client.directory.answered_fingerprint(self._info.name, self._version)
        return self._client.cache.get(self._cache_key(text, last))

    def _cache_key(self, text: EncodedText, fingerprint: str) -> Hashable:
        return (self._info.name, fingerprint, tuple(self._options.parameters.items()), text)


def _nothing_known(_: EncodedText) -> None:
    """What a client without a cache remembers of a text."""
