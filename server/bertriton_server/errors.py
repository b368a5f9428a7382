"""Everything that `bertriton_server` raises.

ServerError                   (.summary: the message on one line)
├── RuntimeNotFoundError      no tritonserver, and none can be made here
├── RuntimeInstallError       making the pip runtime failed (.log_tail)
├── RepositoryError           the model repository cannot be read (.path)
├── SecurityError             certificates or key that cannot be used
├── TracingError              no place that traces can be sent to
├── AddressUnavailableError   it cannot listen where it was asked to (.host, .port)
└── StartError                tritonserver did not come up, or did not stay up
    ├── ModelsNotReadyError   some models failed to load (.reasons: model -> Triton's own words)
    ├── StartTimeoutError     not ready in time (.timeout_s, .log_tail)
    ├── ServerExitedError     the process ended by itself (.exit_code, .log_tail)
    └── NotHealedError        it was ill, and starting it anew did not help (.illness, .restarts)
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class ServerError(Exception):
    """Root of all errors of this package."""

    @property
    def summary(self) -> str:
        """The message on one line, without the lines of a log."""
        return str(self).partition("\n")[0]


class RuntimeNotFoundError(ServerError):
    """There is no tritonserver, and this machine lacks what making one takes."""


class SecurityError(ServerError):
    """Certificates or a key that cannot be used."""


class TracingError(ServerError):
    """Traces cannot be sent where they were to be sent."""


class RuntimeInstallError(ServerError):
    """The pip runtime could not be made.

    Attributes:
        log_tail: last lines of the command that failed.
    """

    def __init__(self, message: str, log_tail: Sequence[str] = ()) -> None:
        super().__init__(_with_log(message + _told(log_tail), log_tail))
        self.log_tail = tuple(log_tail)


class RepositoryError(ServerError):
    """The model repository is missing, unreadable or empty.

    Attributes:
        path: the folder in question.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class AddressUnavailableError(ServerError):
    """The server cannot listen where it was asked to.

    Attributes:
        host: address that was to be bound.
        port: port that was to be bound.
    """

    def __init__(self, message: str, host: str, port: int) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class StartError(ServerError):
    """tritonserver did not come up, or did not stay up."""


class ModelsNotReadyError(StartError):
    """The server runs, but some of its models failed to load.

    Attributes:
        reasons: model name -> why, in Triton's own words.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = "; ".join(f"{model}: {_first_line(reason)}" for model, reason in sorted(reasons.items()))
        super().__init__(f"{len(reasons)} of the models failed to load: {listed}")
        self.reasons = dict(reasons)


class StartTimeoutError(StartError):
    """The server was not ready in time.

    Attributes:
        timeout_s: how long was waited, in seconds.
        log_tail: last lines of the server's log.
    """

    def __init__(self, timeout_s: float, log_tail: Sequence[str]) -> None:
        waited = f"tritonserver was not ready after {timeout_s:g} s"
        message = f"{waited}: allow it more, or see its log{_of_memory()}"
        super().__init__(_with_log(message, log_tail))
        self.timeout_s = timeout_s
        self.log_tail = tuple(log_tail)


class ServerExitedError(StartError):
    """The server process ended by itself.

    Attributes:
        exit_code: of the process; negative is the signal that ended it.
        log_tail: last lines of the server's log.
    """

    def __init__(self, exit_code: int, log_tail: Sequence[str]) -> None:
        if exit_code < 0:
            message = f"tritonserver was ended by signal {-exit_code}{_of_memory()}"
        else:
            message = f"tritonserver exited with code {exit_code}{_told(log_tail)}"
        super().__init__(_with_log(message, log_tail))
        self.exit_code = exit_code
        self.log_tail = tuple(log_tail)


class NotHealedError(StartError):
    """The server was ill, and starting it anew did not help.

    Attributes:
        illness: what was wrong with it at first.
        restarts: how often in a row it was started anew in vain.
    """

    def __init__(self, illness: str, restarts: int, last_failure: str) -> None:
        tried = (
            f"; {restarts} restarts in a row failed, the last one because {last_failure}" if restarts else ""
        )
        super().__init__(illness + tried)
        self.illness = illness
        self.restarts = restarts


def _of_memory() -> str:
    """The limit of address space: a server that gets no more ends by some signal, or stands still."""
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit_bytes == resource.RLIM_INFINITY:
        return ""
    return f"; {limit_bytes / 2**30:.1f} GiB of address space are all it may use here, see `ulimit -v`"


def _first_line(reason: str) -> str:
    # A Python backend appends its traceback.
    return reason.strip().partition("\n")[0]


def _told(log_tail: Sequence[str]) -> str:
    # Error lines of Triton and of pip both start so.
    lines = [line for line in log_tail if line.startswith("E")] or log_tail
    return f": {lines[-1].strip()}" if lines else ""


def _with_log(message: str, log_tail: Sequence[str]) -> str:
    return "\n    ".join([message, *(["last lines of its log:"] if log_tail else []), *log_tail])
