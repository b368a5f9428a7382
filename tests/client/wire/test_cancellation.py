"""A call that its caller gives up: the caller goes on at once, and the server hears of it."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent import futures
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bertriton import AsyncClient
from bertriton._config import CANCEL_DELAY_S

PATIENCE_S = 60.0


class Holder(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that answers nothing, and notes for how long a call was wanted."""

    def __init__(self) -> None:
        self.came, self.ended = threading.Event(), threading.Event()
        self.wanted_s = 0.0

    def RepositoryIndex(self, _: object, context: Any) -> service_pb2.RepositoryIndexResponse:  # noqa: N802
        came_s = time.monotonic()
        context.add_callback(self.ended.set)
        self.came.set()
        self.ended.wait(PATIENCE_S)
        self.wanted_s = time.monotonic() - came_s
        return service_pb2.RepositoryIndexResponse()


def test_triton_hears_a_little_later_that_a_call_was_given_up() -> None:
    """Triton up to 24.11 may end by a call that is cancelled just when it is refused."""
    holder = Holder()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(holder, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def give_up() -> None:
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            asking = asyncio.create_task(client.models())
            await asyncio.to_thread(holder.came.wait, PATIENCE_S)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert not holder.ended.is_set()
            await asyncio.to_thread(holder.ended.wait, PATIENCE_S)

    asyncio.run(give_up())
    server.stop(None).wait()

    assert CANCEL_DELAY_S <= holder.wanted_s < PATIENCE_S


class Slow(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that takes its time, or until nobody waits any more."""

    def RepositoryIndex(self, _: object, context: Any) -> service_pb2.RepositoryIndexResponse:  # noqa: N802
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(0.05)
        return service_pb2.RepositoryIndexResponse()


def test_a_loop_may_be_closed_right_after_its_client(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC serves all loops of a process by one queue: what comes for a closed one is an error in another."""
    monkeypatch.setattr("bertriton._wire.connection.ENDING_S", 0.5)  # 10 ms are too few on a busy machine
    server = grpc.server(futures.ThreadPoolExecutor(64))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def leave() -> None:
        async with AsyncClient(f"127.0.0.1:{port}") as client:
            asking = [asyncio.create_task(client.models()) for _ in range(16)]
            await asyncio.sleep(0.01)
            for task in asking[::2]:
                task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def leave_often() -> None:
        for _ in range(10):
            asyncio.run(leave())

    threads = [threading.Thread(target=leave_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop(None).wait()

    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
