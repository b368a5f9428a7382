"""Single texts of one moment share a message, and so what a message costs.

An application with many calls under way sends them in bursts: those of a `gather`, or those that go on when
answers to others have come. What is sent in one pass of the event loop goes out together at its end, so that
nothing waits for company. Each call gets its own row of the answer, and its own error.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bertriton._config import (
    SHARED_BYTES,
    SHARED_TEXT_BYTES,
    SHARED_TEXTS,
    SHARED_TIMEOUT_SPREAD_S,
)
from bertriton._errors import (
    AccessDeniedError,
    BertritonError,
    ClientClosedError,
    DeadlineError,
    UnavailableError,
)
from bertriton._wire.protocol import joined_requests, responses_apart, row_kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from bertriton._wire.steps import Call

    _Outcomes = list[Any] | BertritonError
    _Send = Callable[[Call], Awaitable[Any]]

# Errors that no text is to blame for.
_OF_THE_MESSAGE: Final = (UnavailableError, DeadlineError, AccessDeniedError, ClientClosedError)


@dataclass(eq=False)
class _Message:
    """The calls that share a message, and what becomes of it."""

    outcomes: asyncio.Future[_Outcomes]  # a response for each call, or the error of all
    steps: list[Call] = field(default_factory=list)
    size_bytes: int = 0
    waiting: int = 0  # calls that nobody has given up
    sending: asyncio.Task[None] | None = None

    def has_room(self, step: Call, size_bytes: int) -> bool:
        """Whether one more fits, by number, size and deadline."""
        first = self.steps[0]
        return (
            len(self.steps) < min(SHARED_TEXTS, first.max_rows, step.max_rows)
            and self.size_bytes + size_bytes <= SHARED_BYTES
            and abs(first.timeout_s - step.timeout_s) <= SHARED_TIMEOUT_SPREAD_S
        )

    def add(self, step: Call, size_bytes: int) -> int:
        """Take a call; gives its place."""
        self.steps.append(step)
        self.size_bytes += size_bytes
        self.waiting += 1
        return len(self.steps) - 1

    def leave(self) -> None:
        """Give a call up; the message is, once nobody waits for it."""
        self.waiting -= 1
        if not self.waiting and self.sending:
            self.sending.cancel()

    def step(self) -> Call:
        """The one call in place of all."""
        if len(self.steps) == 1:
            return self.steps[0]
        request = joined_requests([step.request for step in self.steps])
        return replace(self.steps[0], request=request, timeout_s=max(step.timeout_s for step in self.steps))


class Sharing:
    """Joins the calls of one event loop.

    It keeps no reference to the connection that it belongs to: in a circle of the two, gRPC's channel would
    live until some collection of garbage, maybe in another thread and after the end of its event loop.
    """

    def __init__(self) -> None:
        self._gathering: dict[Hashable, _Message] = {}  # messages of this pass of the loop

    @staticmethod
    def takes(step: Call) -> bool:
        """Whether a call may share: it has one short text, and no metadata of its own, as a trace has."""
        return step.max_rows > 1 and not step.metadata and step.request.ByteSize() <= SHARED_TEXT_BYTES

    async def response(self, step: Call, send: _Send) -> Any:  # noqa: ANN401  # tritonclient is untyped
        """The response to a call, as if it had been sent by itself, which is what `send` does."""
        began_s = time.monotonic()
        size_bytes = step.request.ByteSize()
        message = self._message_for(step, size_bytes, send)
        place = message.add(step, size_bytes)
        try:
            outcomes = await asyncio.shield(message.outcomes)
        except asyncio.CancelledError:
            message.leave()
            raise
        if not isinstance(outcomes, BertritonError):
            return outcomes[place]
        if len(message.steps) == 1 or isinstance(outcomes, _OF_THE_MESSAGE):
            raise type(outcomes)(outcomes.message) from outcomes.__cause__
        # One of the texts is to blame, and each call is to learn whether it was its own.
        left_s = max(0.0, step.timeout_s - (time.monotonic() - began_s))
        return await send(replace(step, timeout_s=left_s))

    def _message_for(self, step: Call, size_bytes: int, send: _Send) -> _Message:
        kind = row_kind(step.request)
        message = self._gathering.get(kind)
        if message is None or not message.has_room(step, size_bytes):
            loop = asyncio.get_running_loop()
            message = self._gathering[kind] = _Message(loop.create_future())
            loop.call_soon(self._close, kind, message, send)
        return message

    def _close(self, kind: Hashable, message: _Message, send: _Send) -> None:
        """Send a message, which takes no more calls."""
        if self._gathering.get(kind) is message:
            del self._gathering[kind]
        if message.waiting:
            message.sending = asyncio.get_running_loop().create_task(_deliver(message, send))


async def _deliver(message: _Message, send: _Send) -> None:
    try:
        response = await send(message.step())
        message.outcomes.set_result(responses_apart(response, len(message.steps)))
    except BertritonError as error:
        message.outcomes.set_result(error.with_traceback(None))  # which would lead back to the message
    except Exception as error:  # noqa: BLE001 - nobody may wait for ever
        message.outcomes.set_exception(error)
    finally:
        message.outcomes.cancel()  # does nothing where they are known
        message.sending = None
