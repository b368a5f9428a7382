"""Everything that leaves this package as an exception.

BertritonError
+-- UsageError                 the caller's mistake: another try fails the same way
|   +-- InvalidTextError       not text, not UTF-8, too long, or refused by the server (also a ValueError)
|   +-- InvalidOptionError     an option is out of its range, or contradicts another (also a ValueError)
|   +-- ClientClosedError      used after close() (also a RuntimeError)
|   +-- WrongProcessError      made before a fork and used after it (also a RuntimeError)
|   +-- WrongEventLoopError    an AsyncClient used from a second event loop (also a RuntimeError)
+-- ServiceError               the request was right and the service did not answer it
    +-- UnavailableError       no server accepted the request; always worth another try
    |   +-- ConnectionFailedError    nothing listens at the address, or the connection broke
    |   +-- OverloadedError          the server's queue is full, or the request waited there too long
    |   +-- ModelNotReadyError       the model is loading, unloading or broken
    +-- DeadlineError          no answer in time
    +-- ModelNotFoundError     the server holds no such classifier, or several and none was named
    +-- AccessDeniedError      token, key or certificate missing or refused
    +-- ServerFailureError     the server took the request and failed on it
    +-- UnexpectedAnswerError  the answer is not what this client's contract says

Every instance knows `model`, `request_id`, `attempts`, `elapsed_s` and `retryable`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

import grpc  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator


class BertritonError(Exception):
    """The root of all errors of this package.

    Attributes:
        model: name of the classifier, None where no model was involved.
        request_id: the id sent with the request, as it stands in the server's log.
        attempts: requests sent for this answer, 0 if it never came to that.
        elapsed_s: seconds from the first attempt to the error.
        retryable: whether the same call can succeed later.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        model: str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        elapsed_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.request_id = request_id
        self.attempts = attempts
        self.elapsed_s = elapsed_s

    @property
    def message(self) -> str:
        """What went wrong, without the circumstances that `str()` adds."""
        return str(self.args[0])

    def __str__(self) -> str:
        circumstances = []
        if self.attempts:
            tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            circumstances.append(f"{tries} in {self.elapsed_s:.2f} s")
        if self.request_id:
            circumstances.append(f"request {self.request_id}")
        return f"{self.message} ({', '.join(circumstances)})" if circumstances else self.message


class UsageError(BertritonError):
    """The caller's mistake: another try fails the same way."""


class InvalidTextError(UsageError, ValueError):
    """A text cannot be classified: it is not text, not UTF-8 or too long, or the server refused it.

    Attributes:
        index: place of the text in the list or iterable, from 0; 0 for a single text.
    """

    index: int = 0


class InvalidOptionError(UsageError, ValueError):
    """An option is out of its range, or contradicts another."""


class ClientClosedError(UsageError, RuntimeError):
    """The client was used after it was closed."""


class WrongProcessError(UsageError, RuntimeError):
    """The client was made before a fork and used after it."""


class WrongEventLoopError(UsageError, RuntimeError):
    """An asynchronous client was used from a second event loop."""


class ServiceError(BertritonError):
    """The request was right, and the server gave no answer."""


class UnavailableError(ServiceError):
    """No server accepted the request; worth another try."""

    retryable = True


class ConnectionFailedError(UnavailableError):
    """Nothing listens at the address, or the connection broke."""


class OverloadedError(UnavailableError):
    """The server's queue is full, or the request waited there too long."""


class ModelNotReadyError(UnavailableError):
    """The model is loading, unloading or broken."""


class DeadlineError(ServiceError):
    """There was no answer in time."""

    retryable = True


class ModelNotFoundError(ServiceError):
    """The server has no such classifier, or it has several and none was named."""


class AccessDeniedError(ServiceError):
    """A token, key or certificate is missing, or was refused."""


class ServerFailureError(ServiceError):
    """The server took the request and failed on it."""


class UnexpectedAnswerError(ServiceError):
    """The answer does not follow the contract of this client's version."""


# UNAVAILABLE stays general here: the status does not tell a dead server from a full queue. The sender asks
# the server for its state before it names the leaf.
STATUS_TO_ERROR: Final[dict[grpc.StatusCode, type[BertritonError]]] = {
    grpc.StatusCode.OK: UnexpectedAnswerError,  # a failure that calls itself success
    grpc.StatusCode.CANCELLED: UnavailableError,  # a server that shuts down cancels what it holds
    grpc.StatusCode.UNKNOWN: ServerFailureError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidTextError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: ModelNotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ServerFailureError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.FAILED_PRECONDITION: ServerFailureError,
    grpc.StatusCode.ABORTED: ServerFailureError,
    grpc.StatusCode.UNIMPLEMENTED: ServerFailureError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidTextError,
    grpc.StatusCode.INTERNAL: ServerFailureError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DATA_LOSS: UnexpectedAnswerError,
}


# Triton refuses a missing or wrong key with UNAVAILABLE, too. Only there does it name the header it wants.
RESTRICTED_PROTOCOL_PREFIX: Final = "triton-grpc-protocol-"

# With NOT_FOUND, Triton's words for a model that it knows and whose versions are unloading, as they all are
# for some seconds before it ends: another replica has it.
_NO_VERSION_NOW: Final = "has no available versions"

# With INVALID_ARGUMENT: a model without an output that this client's contract has.
_UNKNOWN_OUTPUT: Final = "unexpected inference output"
# With INTERNAL, Triton's words for a model whose process is dead: its supervisor starts it anew, or another
# replica has it.
_DEAD_PROCESS: Final = re.compile(r"Stub process \S+ is not healthy")
# With INTERNAL, the words of Triton's own ONNX Runtime backend when the graph cannot tell rows apart, for a
# request without any is in the batch: all in it fail, and the next batch is another.
_BROKEN_BATCH: Final = re.compile(r"onnx runtime error .*Name:'/rows/")


@contextmanager
def grpc_errors_translated() -> Iterator[None]:
    """Turn every exception of gRPC inside the block into one of ours; both clients send through this."""
    try:
        yield
    except grpc.RpcError as exc:
        raise _translated(exc) from exc
    except (ValueError, grpc.FutureCancelledError) as exc:
        # What gRPC raises when another thread closes the channel under a call.
        raise ClientClosedError("the client was closed while the call was under way") from exc


def _translated(exc: grpc.RpcError) -> BertritonError:
    status = exc.code()
    details = (exc.details() or "no details given").strip()
    if status is grpc.StatusCode.UNAVAILABLE and RESTRICTED_PROTOCOL_PREFIX in details:
        return AccessDeniedError(
            f"{status.name}: {details}: give the right key (api_key; on the command line --api-key)"
        )
    is_internal = status is grpc.StatusCode.INTERNAL
    if is_internal and _BROKEN_BATCH.search(details):
        return ModelNotReadyError(f"{status.name}: a request without rows failed all of its batch: {details}")
    is_dead = is_internal and _DEAD_PROCESS.search(details)
    if is_dead or (status is grpc.StatusCode.NOT_FOUND and _NO_VERSION_NOW in details):
        return ModelNotReadyError(f"{status.name}: {details}")
    if status is grpc.StatusCode.INVALID_ARGUMENT and _UNKNOWN_OUTPUT in details:
        return UnexpectedAnswerError(
            f"{status.name}: {details}; the model follows another contract: "
            "export it again with the client's version of bertriton"
        )
    return STATUS_TO_ERROR.get(status, ServerFailureError)(f"{status.name}: {details}")
