"""What a closed client ends, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertriton import AsyncClient, Client, ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_server import LocalServer


def test_closing_ends_a_call_of_another_thread(imdb_server: LocalServer) -> None:
    client = Client(imdb_server.grpc_url)
    client.classify("warm")
    failures: list[BaseException] = []

    def classify_much() -> None:
        try:
            client.classify(["good " * 20] * 4000)
        except ClientClosedError as exc:
            failures.append(exc)

    thread = threading.Thread(target=classify_much)
    thread.start()
    thread.join(0.3)
    client.close()
    thread.join(60)

    assert len(failures) == 1


def test_closing_ends_a_call_of_another_task(imdb_server: LocalServer) -> None:
    async def close_midway() -> BaseException | None:
        client = AsyncClient(imdb_server.grpc_url)
        await client.classify("warm")
        task = asyncio.ensure_future(client.classify(["good " * 20] * 4000))
        await asyncio.sleep(0.3)
        await client.close()
        await asyncio.wait([task])
        return task.exception()

    assert isinstance(asyncio.run(close_midway()), ClientClosedError)


def _sockets() -> int:
    gc.collect()
    return sum(map(_is_socket, Path("/proc/self/fd").iterdir()))


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:  # gRPC's own threads close files while these are listed
        return False


def test_a_closed_client_leaves_no_thread_and_no_socket(imdb_server: LocalServer) -> None:
    def use_one() -> None:
        with Client(imdb_server.grpc_url) as client:
            client.classify(["text"] * 500)
            next(iter(client.classify_iter(["text"] * 500)))

    use_one()
    threads, sockets = threading.active_count(), _sockets()
    for _ in range(5):
        use_one()

    assert _settles(threading.active_count, threads)
    assert _settles(_sockets, sockets)


def test_a_closed_async_client_leaves_no_task_and_no_socket(imdb_server: LocalServer) -> None:
    async def use_one() -> None:
        async with AsyncClient(imdb_server.grpc_url) as client:
            await client.classify(["text"] * 500)
            results = client.classify_iter(["text"] * 500)
            await anext(results)
            await results.aclose()

    async def tasks_after_use() -> set[asyncio.Task[Any]]:
        await use_one()
        await asyncio.sleep(0.05)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    asyncio.run(use_one())
    sockets = _sockets()
    for _ in range(5):
        assert asyncio.run(tasks_after_use()) == set()

    assert _settles(_sockets, sockets)


def _settles(count: Callable[[], int], expected: int) -> bool:
    """Whether a count comes down to what it was; gRPC takes its time in the background."""
    for _ in range(50):
        if count() <= expected:
            return True
        threading.Event().wait(0.1)
    return False
