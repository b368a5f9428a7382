"""`serve`: says what is served where, and ends cleanly however it is ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tritonclient.grpc as triton
from click.testing import CliRunner, Result

from bertriton_server.command import serve_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Repository

    from bertriton_server import Runtime

DEADLINE_S = 20.0
FREE_PORTS = ("--http-port=0", "--grpc-port=0", "--metrics-port=0")


@pytest.fixture(autouse=True)
def _made_runtime(runtime: Runtime) -> None:
    """Made before the first command runs, so that its output is that of serving alone."""


@contextmanager
def serving(
    repository: Repository, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A `serve` process, and what it says is where."""
    command = [sys.executable, "-m", "bertriton_server", *FREE_PORTS, *arguments]
    environment = {**os.environ, "BERTRITON_MODEL_REPOSITORY": str(repository.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready, Ctrl-C stops\n", process.stderr.read()
        lines = [process.stdout.readline().split() for _ in range(4)]
        try:
            yield process, {words[0]: " ".join(words[1:]) for words in lines}
        finally:
            process.kill()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(serve_command, arguments)


def test_it_says_what_is_served_where(repository: Repository) -> None:
    repository.add("double")
    repository.add("other")

    with serving(repository) as (_, where):
        assert where.keys() == {"gRPC", "HTTP", "metrics", "models"}
        assert where["models"] == "double, other"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", where["HTTP"])
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", where["metrics"])
        with triton.InferenceServerClient(where["gRPC"]) as client:
            assert client.is_model_ready("double")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(
    repository: Repository, number: signal.Signals, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")

    with serving(repository) as (process, where):
        assert traces_of(process.pid)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 0
    assert stderr.splitlines()[-1].startswith("stopping")
    assert traces_of(process.pid) == set()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(where["gRPC"].split(":")[1])))


def test_a_second_ctrl_c_ends_it_at_once(
    repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")

    with serving(repository) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert "loading" in process.stderr.readline()
        assert "stopping" in process.stderr.readline()
        asked_again_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0

    assert time.monotonic() - asked_again_at < 2
    assert traces_of(process.pid) == set()


def test_ctrl_c_while_it_starts_leaves_nothing_behind(
    repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    version = repository.path / "slow" / "1"
    version.mkdir(parents=True)
    slow = "import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(60)\n"
    (version / "model.py").write_text(slow)
    repository.configure("slow", backend="python")
    command = [sys.executable, "-m", "bertriton_server", *FREE_PORTS, "--model-repository", repository.path]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        started_at = time.monotonic()
        while not traces_of(process.pid):
            assert time.monotonic() - started_at < DEADLINE_S
            time.sleep(0.05)

        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 0
    assert stderr.splitlines()[-1] == "stopped"
    while traces_of(process.pid):  # interrupted early enough, the rest is the warden's
        assert time.monotonic() - started_at < DEADLINE_S
        time.sleep(0.05)


def test_a_server_that_dies_is_one_line_and_exit_code_one(
    repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")

    with serving(repository) as (process, _):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (server,) = [pid for pid in children if "tritonserver" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(server), signal.SIGKILL)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert stderr.splitlines()[1:] == ["Error: tritonserver was ended by signal 9"]
    assert traces_of(process.pid) == set()


def test_tritons_log_is_shown_when_asked_for(repository: Repository) -> None:
    repository.add("double")

    with serving(repository, "--verbose", "--", "--log-verbose=1") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert "Started GRPCInferenceService" in stderr
    assert "successfully unloaded 'double'" in stderr
    assert "log_verbose" in stderr or "python_be.cc" in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model-repository", "absent"], "cannot read model repository absent: No such file or directory"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:"),
        (["--", "--nonsense"], "unrecognized option '--nonsense'"),
    ],
)
def test_a_failed_start_is_one_line_and_exit_code_one(
    repository: Repository, arguments: list[str], message: str
) -> None:
    repository.add("double")

    result = run("--model-repository", str(repository.path), *FREE_PORTS, *arguments)

    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("loading")]
    assert line.startswith("Error: ")
    assert message in line


@pytest.mark.parametrize("arguments", [["--http-port", "70000"], ["--start-timeout", "0"], ["--unknown"]])
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_each_option_names_its_variable_and_default() -> None:
    text = " ".join(run("--help").output.split())

    for option in (
        "model_repository",
        "host",
        "http_port",
        "grpc_port",
        "metrics_port",
        "start_timeout",
        "verbose",
    ):
        assert f"--{option.replace('_', '-')}" in text
        assert f"BERTRITON_{option.upper()}" in text
    for default in ("model_repository", "127.0.0.1", "8000", "8001", "8002", "120.0"):
        assert f"default: {default}" in text
