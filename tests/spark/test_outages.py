"""A worker that is killed, a server that is started anew: no row is lost, none comes twice."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.spark.pipelines import annotated

from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame

TEXT_CHARACTERS = 200
DEADLINE_S = 600.0
WORKER = b"pyspark.daemon"


@pytest.fixture(scope="module")
def own_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A Triton that nobody else needs."""
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        yield server


class Job:
    """A classification of many texts that is under way."""

    def __init__(self, frame: DataFrame, count: int, server: LocalServer) -> None:
        self._frame = frame
        self.count = count
        self._server = server
        self._before = inferences(server)
        self._rows: list[Any] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._rows = self._frame.select("id", "class.result").collect()

    def wait_until_some_are_answered(self) -> None:
        give_up = time.monotonic() + DEADLINE_S
        while inferences(self._server) - self._before < self.count // 10:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert self._thread.is_alive()

    def rows(self) -> list[Any]:
        self._thread.join(DEADLINE_S)
        return self._rows


def inferences(server: LocalServer) -> int:
    """Texts that the server's classifier has answered."""
    with urllib.request.urlopen(server.metrics_url) as page:
        lines = page.read().decode().splitlines()
    counts = [line for line in lines if line.startswith('nv_inference_count{model="imdb",')]
    return int(float(counts[0].split()[-1])) if counts else 0


def python_workers() -> list[int]:
    """Spark's Python workers on this machine that this process has started: children of a daemon."""
    parents = {pid: _parent_of(pid) for pid in _pids() if WORKER in _command_of(pid)}
    return [pid for pid, parent in parents.items() if parent in parents and _is_ours(parent)]


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _parent_of(pid: int) -> int:
    with contextlib.suppress(OSError):  # likewise
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _is_ours(pid: int) -> bool:
    """Whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = _parent_of(pid)
    return False


@pytest.fixture
def job(
    texts_frame: Callable[..., DataFrame], classifier: Any, own_server: LocalServer, many_texts: list[str]
) -> Job:
    texts = [f"{place} {text[:TEXT_CHARACTERS]}" for place, text in enumerate(many_texts)]
    classifier.setUrl(own_server.grpc_url).setInFlight(2).setBatchSize(2)
    return Job(annotated(texts_frame(texts), classifier), len(texts), own_server)


def test_a_killed_worker_loses_and_doubles_nothing(job: Job) -> None:
    job.wait_until_some_are_answered()
    workers = python_workers()
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    rows = job.rows()

    assert [row["id"] for row in rows] == list(range(job.count))
    assert {len(row["result"]) for row in rows} == {1}


def test_a_server_started_anew_loses_and_doubles_nothing(job: Job, own_server: LocalServer) -> None:
    job.wait_until_some_are_answered()
    own_server.restart()

    rows = job.rows()

    assert [row["id"] for row in rows] == list(range(job.count))
    assert {len(row["result"]) for row in rows} == {1}
