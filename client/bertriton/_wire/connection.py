"""One open channel to Triton, blocking or asynchronous; the only module that sends anything."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2_grpc

from bertriton._config import CANCEL_DELAY_S, CLOSE_TIMEOUT_S, ENDING_S
from bertriton._errors import ClientClosedError, WrongEventLoopError, grpc_errors_translated
from bertriton._wire.diagnosis import hint_of
from bertriton._wire.sharing import Sharing

if TYPE_CHECKING:
    from bertriton._wire.endpoint import Endpoint
    from bertriton._wire.steps import AskPort, Call, Start, Wait


def _end_of(call: Any) -> asyncio.Future[None]:  # noqa: ANN401
    """Is done when the call is; to await the call itself would cancel it with the task that does."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(_: Any) -> None:  # noqa: ANN401
        if not ended.done():
            ended.set_result(None)

    call.add_done_callback(end)
    return ended


class SyncConnection:
    """A channel that blocks, shared by a client, its copies, and threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._channel = endpoint.open()
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._metadata = endpoint.metadata()
        self._closed = False

    def call(self, step: Call) -> Any:  # noqa: ANN401  # tritonclient is untyped
        """Send and wait."""
        with grpc_errors_translated():
            send = self._method(step.method)
            return send(step.request, timeout=step.timeout_s, metadata=self._metadata + step.metadata)

    def start(self, step: Start) -> Any:  # noqa: ANN401
        """Send, and wait elsewhere."""
        with grpc_errors_translated():
            send = self._method(step.method).future
            return send(step.request, timeout=step.timeout_s, metadata=self._metadata + step.metadata)

    def wait(self, step: Wait) -> Any:  # noqa: ANN401
        """Wait for what was started."""
        with grpc_errors_translated():
            return step.handle.result()

    def hint_of(self, step: AskPort) -> str:
        """What is in the way at an address, empty where that is not known."""
        return hint_of(step)

    def close(self) -> None:
        """Close the channel and cancel what is under way; a second time does nothing."""
        self._closed = True
        # gRPC cancels its calls at once, but then waits for their ends: for ever, if Ctrl-C came just when a
        # call was started and nobody collects its end.
        closing = threading.Thread(target=self._channel.close, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)

    def _method(self, name: str) -> Any:  # noqa: ANN401
        if self._closed:
            raise ClientClosedError("the client is closed")
        return getattr(self._stub, name)


class AsyncConnection:
    """A channel that belongs to the event loop of its first request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._metadata = endpoint.metadata()
        self._channel: Any = None
        self._stub: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._calls: set[Any] = set()  # of gRPC, under way
        self._sharing = Sharing()

    async def call(self, step: Call) -> Any:  # noqa: ANN401
        """Send and wait; what asks for one short text may share a message with others."""
        if not self._sharing.takes(step):
            return await self._answered(step)
        self._method(step.method)  # sees whether this client may be used here
        return await self._sharing.response(step, self._answered)

    async def start(self, step: Start) -> Any:  # noqa: ANN401
        """Send, and wait elsewhere."""
        return self._sent(step)

    async def wait(self, step: Wait) -> Any:  # noqa: ANN401
        """Wait for what was started."""
        return await self._response(step.handle)

    async def hint_of(self, step: AskPort) -> str:
        """What is in the way at an address, empty where that is not known."""
        return await asyncio.to_thread(hint_of, step)

    async def close(self) -> None:
        """Close the channel and cancel what is under way; a second time does nothing."""
        self._closed = True
        if self._channel is not None:
            were_under_way = bool(self._calls)
            await self._channel.close()
            if were_under_way:
                # gRPC hands the end of each to its loop a moment later. Where that is closed by then, it logs
                # an error, and what it has for other loops at the same time waits.
                await asyncio.sleep(ENDING_S)

    async def _answered(self, step: Call) -> Any:  # noqa: ANN401
        return await self._response(self._sent(step))

    def _sent(self, step: Call | Start) -> Any:  # noqa: ANN401
        with grpc_errors_translated():
            send = self._method(step.method)
            call = send(step.request, timeout=step.timeout_s, metadata=self._metadata + step.metadata)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def _response(self, call: Any) -> Any:  # noqa: ANN401
        try:
            await _end_of(call)
            with grpc_errors_translated():
                return await call
        except asyncio.CancelledError:
            # A closing channel cancels its calls; the task that waits for them was not cancelled by anyone.
            if self._closed and call.done():
                raise ClientClosedError("the client was closed while the call was under way") from None
            asyncio.get_running_loop().call_later(CANCEL_DELAY_S, call.cancel)
            raise

    def _method(self, name: str) -> Any:  # noqa: ANN401
        if self._closed:
            raise ClientClosedError("the client is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._channel = self._endpoint.open_async()
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        elif self._loop is not loop:
            raise WrongEventLoopError(
                "this client belongs to the event loop of its first request: make one client per event loop"
            )
        return getattr(self._stub, name)
