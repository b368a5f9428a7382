"""What the decisions of a client ask of the outside world.

`BaseClient` decides in generators that yield these steps and receive their outcome; `Client` performs them by
blocking and `AsyncClient` by awaiting. So nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from bertriton._config import Tls


@dataclass(frozen=True, slots=True)
class Call:
    """Send a request and give its response."""

    method: str  # of Triton's gRPC service
    request: Any
    timeout_s: float
    metadata: tuple[tuple[str, str], ...] = ()  # of gRPC, beside the client's own
    max_rows: int = 1  # of the message; with more, a request for one row may share it with others


@dataclass(frozen=True, slots=True)
class AskPort:
    """Say what is in the way at an address, which gRPC does not tell."""

    host: str
    port: int
    tls: Tls | None  # of the client
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Send a request and give a handle to wait for."""

    method: str
    request: Any
    timeout_s: float
    metadata: tuple[tuple[str, str], ...] = ()  # of gRPC, beside the client's own


@dataclass(frozen=True, slots=True)
class Wait:
    """Give the response to a request that was started."""

    handle: Any


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until a reader has items, a request is done, or time is up; which, the flow sees by itself."""

    reader: Any
    wanted: int  # items
    handle: Any  # of the request; None: there is none
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand results to the caller before the flow goes on."""

    results: Iterable[Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a step that ended with an error; gRPC's handles are exceptions themselves."""

    error: Exception


class End:
    """The type of `END`."""


END = End()

Step: TypeAlias = Call | AskPort | Start | Wait | Sleep | Await | Emit
T = TypeVar("T")
Flow: TypeAlias = Generator[Step, Any, T]


class Run(Generic[T]):
    """A flow under way: takes the outcome of one step and gives the next."""

    result: T  # what the flow returned, once `next` has given None

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow

    def next(self, outcome: object = None) -> Step | None:
        """The next step; a failure is raised inside the flow."""
        try:
            if isinstance(outcome, Failed):
                return self._flow.throw(outcome.error)
            return self._flow.send(outcome)
        except StopIteration as end:
            self.result = end.value
            return None

    def close(self) -> None:
        """Let the flow cancel what is under way."""
        self._flow.close()
