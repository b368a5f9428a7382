"""A server that ends, in whatever way, leaves no process, file or shared memory behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tritonclient.grpc as triton

from bertriton_server import LocalServer, ServerExitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Repository

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

DEADLINE_S = 120.0
PAUSING_MODEL = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        print("answering", flush=True)
        time.sleep(1)
        x = pb_utils.get_input_tensor_by_name(requests[0], "x").as_numpy()
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)])]
"""
SERVE_AND_WAIT = """
import os, sys, time
from bertriton_server import LocalServer

server = LocalServer(sys.argv[1])
server.start()
forked = os.fork() if sys.argv[2] == "forks" else 0
if forked or sys.argv[2] == "alone":
    print(server.log_path.parent, forked, flush=True)
time.sleep(60)
"""

# Process 1 of a container gets the orphans of all others; a subreaper (prctl 36) gets those of its own.
RESTART_AND_LIST = """
import ctypes, os, signal, sys
from pathlib import Path
from bertriton_server import LocalServer, ServerExitedError

assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
for _ in range(5):
    with LocalServer(sys.argv[1]) as server:
        os.kill(server.pid, signal.SIGKILL)
for status in Path("/proc").glob("[0-9]*/stat"):
    state, parent = status.read_text().rpartition(")")[2].split()[:2]
    if int(parent) == os.getpid():
        print(state, status)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stopped_server_leaves_nothing_behind(
    make_server: Callable[..., LocalServer], repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")
    before = traces_of(os.getpid())

    with make_server(stop_grace_s=30.0) as server:
        workspace = server.log_path.parent
        assert workspace.exists()
        # The server, its stub, the segment they share, and the warden.
        assert len(traces_of(os.getpid()) - before) == 4

    assert traces_of(os.getpid()) == before
    assert not workspace.exists()
    server.stop()  # the second time does nothing


def test_a_stopped_server_still_answers_the_requests_in_flight(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    (repository.path / "pausing" / "1").mkdir(parents=True)
    (repository.path / "pausing" / "1" / "model.py").write_text(PAUSING_MODEL)
    field = {"data_type": "TYPE_FP32", "dims": [1]}
    repository.configure(
        "pausing", backend="python", input=[{"name": "x", **field}], output=[{"name": "y", **field}]
    )

    with (
        make_server(stop_grace_s=30.0) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        sent = triton.InferInput("x", [1], "FP32")
        sent.set_data_from_numpy(np.ones(1, dtype=np.float32))
        answer = pool.submit(client.infer, "pausing", [sent], client_timeout=DEADLINE_S)
        wait_until(lambda: "answering" in server.log_path.read_text())
        server.stop()

        assert answer.result().as_numpy("y").tolist() == [1.0]


def test_a_killed_server_is_noticed_and_leaves_nothing_behind(
    make_server: Callable[..., LocalServer], repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")
    before = traces_of(os.getpid())

    with make_server(stop_grace_s=30.0) as server:
        server.check()
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerExitedError, match="ended by signal 9") as caught:
            wait_until(lambda: server.check() is not None)
        stopped_at = time.monotonic()

    assert caught.value.exit_code == -9
    assert time.monotonic() - stopped_at < 25  # seconds of the 30 that a living one would be given
    assert traces_of(os.getpid()) == before


def test_the_process_that_gets_a_killed_servers_orphans_reaps_them(repository: Repository) -> None:
    repository.add("double")
    command = [sys.executable, "-c", RESTART_AND_LIST, str(repository.path)]

    listed = subprocess.run(command, capture_output=True, text=True, check=True)

    assert listed.stdout == ""


def test_a_server_without_its_warden_leaves_nothing_behind(
    make_server: Callable[..., LocalServer], repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")
    before = traces_of(os.getpid())

    with make_server() as server:
        processes = filter(str.isdigit, traces_of(os.getpid()) - before)
        (warden,) = [pid for pid in processes if "warden.py" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(warden), signal.SIGKILL)
        assert server.models() == ("double",)

    assert traces_of(os.getpid()) == before


@pytest.mark.parametrize("kind_of_parent", ["alone", "forks"])
def test_a_server_ends_with_its_killed_parent(
    repository: Repository, traces_of: Callable[[int], set[str]], kind_of_parent: str
) -> None:
    repository.add("double")
    command = [sys.executable, "-c", SERVE_AND_WAIT, repository.path, kind_of_parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        workspace, forked = parent.stdout.readline().split()
        assert len(traces_of(parent.pid)) == 4

        parent.kill()

    wait_until(lambda: not traces_of(parent.pid))
    assert not Path(workspace).exists()
    if kind_of_parent == "forks":
        os.kill(int(forked), signal.SIGKILL)  # had outlived its parent
