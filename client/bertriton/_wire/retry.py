"""One request, sent until it is answered, another try cannot help, or time is up."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from tritonclient.grpc import service_pb2

from bertriton._config import DIAGNOSIS_TIMEOUT_S, QUEUE_SHARE_OF_DEADLINE, RetryPolicy, valid_kind
from bertriton._errors import (
    BertritonError,
    ConnectionFailedError,
    DeadlineError,
    ModelNotReadyError,
    OverloadedError,
    ServiceError,
    UnavailableError,
)
from bertriton._telemetry import SILENT_REQUEST
from bertriton._wire.protocol import set_queue_timeout
from bertriton._wire.steps import AskPort, Call, Flow, Sleep, Start, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton._telemetry import RequestTrace
    from bertriton._wire.endpoint import Endpoint

ErrorT = TypeVar("ErrorT", bound=BertritonError)
T = TypeVar("T")

# A diagnosis may take this share of the call's time beyond its deadline, and no more.
_DIAGNOSIS_SHARE = 0.05


class Attempts:
    """The tries for one answer: how many, since when, until when."""

    def __init__(
        self,
        model: str,
        version: str,
        request_id: str,
        timeout_s: float,
        asked_timeout_s: float | None = None,
    ) -> None:
        self.model = model
        self.version = version
        self.request_id = request_id
        self.timeout_s = max(0.0, timeout_s)
        self.asked_timeout_s = timeout_s if asked_timeout_s is None else asked_timeout_s  # by the caller
        self.count = 0
        self.max_rows = 1  # of the message; with more, a request for one row may share it
        self.trace: RequestTrace = SILENT_REQUEST
        self._started = time.monotonic()

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def remaining_s(self) -> float:
        return self.timeout_s - self.elapsed_s()

    def stamped(self, error: ErrorT) -> ErrorT:
        """The error with the circumstances written into it."""
        error.model = error.model or self.model or None
        error.request_id = self.request_id or None
        error.attempts = self.count
        error.elapsed_s = self.elapsed_s()
        return error


class RetryBudget:
    """A store of retries, shared by all threads of a client, so that a struggling server is not drowned."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tokens = float(policy.budget)
        self._refilled = time.monotonic()
        self._lock = threading.Lock()

    def answered(self) -> None:
        """An answer came: put a part of a retry into the store."""
        with self._lock:
            self._add(self._policy.budget_per_answer)

    def take(self) -> bool:
        """Take a retry out of the store, if one is there."""
        with self._lock:
            now = time.monotonic()
            self._add((now - self._refilled) * self._policy.budget_per_s)
            self._refilled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def _add(self, tokens: float) -> None:
        self._tokens = min(float(self._policy.budget), self._tokens + tokens)


class Sender:
    """Sends requests by one retry policy; copies of a client that share the policy share the sender."""

    def __init__(self, policy: RetryPolicy, endpoint: Endpoint) -> None:
        self._policy: RetryPolicy = valid_kind("retry", policy, RetryPolicy, "a RetryPolicy")
        self._budget = RetryBudget(policy)
        self._endpoint = endpoint
        self._address_has_answered = False

    def start(self, attempts: Attempts, request: Any) -> Flow[Any]:  # noqa: ANN401
        """Send a `ModelInferRequest` and give its handle; `infer` takes it from there."""
        return (
            yield Start("ModelInfer", request, _infer_timeout_s(attempts, request), attempts.trace.metadata)
        )

    def infer(
        self,
        attempts: Attempts,
        request: Any,  # noqa: ANN401
        handle: Any,  # noqa: ANN401
        read: Callable[[Any], Flow[T]],
    ) -> Flow[T]:
        """What `read` makes of the response to a `ModelInferRequest`.

        Args:
            attempts: the tries so far.
            request: what is sent.
            handle: of the first try, if that is under way.
            read: may raise an `UnavailableError` for a response that is no answer; then it is asked again.
        """
        try:
            answer = yield from self._answer(attempts, "ModelInfer", request, handle, read)
        except BaseException as error:  # a caller who leaves included
            attempts.trace.ended(attempts.count, error)
            raise
        attempts.trace.ended(attempts.count)
        return answer

    def ask(self, attempts: Attempts, method: str, request: Any) -> Flow[Any]:  # noqa: ANN401
        """The response to any other request."""
        return (yield from self._answer(attempts, method, request, None, _as_it_is))

    def _answer(
        self,
        attempts: Attempts,
        method: str,
        request: Any,  # noqa: ANN401
        handle: Any,  # noqa: ANN401
        read: Callable[[Any], Flow[T]],
    ) -> Flow[T]:
        while True:
            attempts.count += 1
            try:
                if handle is not None:
                    response = yield Wait(handle)
                else:
                    timeout_s = _timeout_s(attempts, method, request)
                    metadata = attempts.trace.metadata
                    response = yield Call(method, request, timeout_s, metadata, attempts.max_rows)
                self._address_has_answered = True
                answer = yield from read(response)
            except UnavailableError as error:
                handle = None
                attempts.trace.refused(error)
                yield from self._wait_for_next_try(error, attempts)
            except BertritonError as error:
                raise attempts.stamped(_located(error, self._endpoint, attempts)) from error.__cause__
            else:
                self._budget.answered()
                return answer

    def _wait_for_next_try(self, error: UnavailableError, attempts: Attempts) -> Flow[None]:
        """Sleep before another try, or raise if there is none."""
        wait_s = self._backoff_s(attempts.count)
        if self._may_retry(attempts, wait_s):
            attempts.trace.retried(wait_s)
            yield Sleep(wait_s)
        else:
            leaf = yield from self._diagnosed(error, attempts)
            raise attempts.stamped(leaf) from error.__cause__

    def _may_retry(self, attempts: Attempts, wait_s: float) -> bool:
        policy = self._policy
        limit = policy.max_attempts if self._address_has_answered else policy.first_contact_attempts
        return attempts.count < min(limit, policy.max_attempts) and (
            wait_s < attempts.remaining_s() and self._budget.take()
        )

    def _backoff_s(self, tries: int) -> float:
        # The exponent is bounded because a float overflows before a long outage ends.
        bound_s = self._policy.initial_backoff_s * 2.0 ** min(tries - 1, 30)
        return random.uniform(0.0, min(bound_s, self._policy.max_backoff_s))  # noqa: S311  # jitter, no secret

    def _diagnosed(self, error: UnavailableError, attempts: Attempts) -> Flow[ServiceError]:
        """The same failure under the name that the server's state gives it."""
        if type(error) is not UnavailableError:
            return error
        spare_s = max(attempts.remaining_s(), attempts.timeout_s * _DIAGNOSIS_SHARE)
        question = service_pb2.ModelReadyRequest(name=attempts.model, version=attempts.version)
        try:
            answer = yield Call("ModelReady", question, min(DIAGNOSIS_TIMEOUT_S, spare_s))
        except (UnavailableError, DeadlineError):
            hint = yield from self._hint(min(DIAGNOSIS_TIMEOUT_S, spare_s))
            return ConnectionFailedError(
                f"cannot reach Triton at {self._endpoint.route}: {hint}{error.message}"
            )
        except ServiceError:
            return ModelNotReadyError(f"model {attempts.model!r} is not ready: {error.message}")
        if attempts.model and not answer.ready:
            return ModelNotReadyError(f"model {attempts.model!r} is not ready: {error.message}")
        return OverloadedError(f"Triton at {self._endpoint.url} refused the request: {error.message}")

    def _hint(self, timeout_s: float) -> Flow[str]:
        """What gRPC does not say: of the wrong port, and of TLS at one end alone, "Socket closed"."""
        address = self._endpoint.address
        if address is None or self._endpoint.proxy is not None:
            return ""
        hint = yield AskPort(address.host, address.port, self._endpoint.tls, timeout_s)
        return f"{hint}: " if hint else ""


def _as_it_is(response: Any) -> Flow[Any]:  # noqa: ANN401
    """The response itself."""
    yield from ()
    return response


def _timeout_s(attempts: Attempts, method: str, request: Any) -> float:  # noqa: ANN401
    if method == "ModelInfer":
        return _infer_timeout_s(attempts, request)
    return max(0.0, attempts.remaining_s())


def _infer_timeout_s(attempts: Attempts, request: Any) -> float:  # noqa: ANN401
    remaining_s = max(0.0, attempts.remaining_s())
    set_queue_timeout(request, remaining_s * QUEUE_SHARE_OF_DEADLINE)
    return remaining_s


def _located(error: BertritonError, endpoint: Endpoint, attempts: Attempts) -> BertritonError:
    if not isinstance(error, DeadlineError):
        return error
    what = (
        f"model {attempts.model!r} at {endpoint.route}" if attempts.model else f"Triton at {endpoint.route}"
    )
    return DeadlineError(f"no answer from {what} within {attempts.asked_timeout_s:g} s")
