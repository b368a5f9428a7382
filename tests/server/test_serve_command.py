"""`serve`: says what is served where, and ends cleanly however it is ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tritonclient.grpc as triton
import trustme
from click.testing import CliRunner, Result

from bertriton_server.command import serve_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Repository

    from bertriton_server import Runtime

DEADLINE_S = 120.0
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

    assert time.monotonic() - asked_again_at < 25  # seconds of the 30 that the first Ctrl-C gives
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


def test_without_restarts_a_server_that_dies_is_one_line_and_exit_code_one(
    repository: Repository, traces_of: Callable[[int], set[str]]
) -> None:
    repository.add("double")

    with serving(repository, "--restarts=0") as (process, _):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (server,) = [pid for pid in children if "tritonserver" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(server), signal.SIGKILL)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert stderr.splitlines()[1:] == ["Error: tritonserver was ended by signal 9"]
    assert traces_of(process.pid) == set()


def test_tritons_log_is_shown_when_asked_for_and_unfit_cpus_are_always_told(repository: Repository) -> None:
    repository.add("double", parameters={"cpu_feature": {"string_value": "vnni_of_tomorrow"}})

    with serving(repository, "--verbose", "--", "--log-verbose=1") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert "Started GRPCInferenceService" in stderr
    assert "warning: double was exported for CPUs with vnni_of_tomorrow, and this one has none" in stderr
    assert "successfully unloaded 'double'" in stderr
    assert "log_verbose" in stderr or "python_be.cc" in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model-repository", "absent"], "cannot read model repository absent: No such file or directory"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:"),
        (["--trace-url", "localhost:4318"], "trace_url: expected the address of a collector"),
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
        "metrics_host",
        "model_control",
        "restarts",
        "start_timeout",
        "trace_url",
        "trace_rate",
        "verbose",
    ):
        assert f"--{option.replace('_', '-')}" in text
        assert f"BERTRITON_{option.upper()}" in text
    for default in ("model_repository", "127.0.0.1", "8000", "8001", "8002", "120.0"):
        assert f"default: {default}" in text


@pytest.mark.parametrize(
    ("limit", "starts"), [("ulimit -n 64", False), ("ulimit -n 255", False), ("ulimit -Sn 64", True)]
)
def test_too_few_open_files_are_told_and_a_soft_limit_is_lifted(
    repository: Repository, limit: str, *, starts: bool
) -> None:
    repository.add("double")
    script = f'{limit} && exec "$0" "$@"'
    command = [sys.executable, "-m", "bertriton_server", *FREE_PORTS, "--model-repository", repository.path]
    with subprocess.Popen(
        ["bash", "-c", script, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        if starts:
            assert process.stdout.readline() == "ready, Ctrl-C stops\n"
            url = process.stdout.readline().split()[1]
            with ExitStack() as connections:
                for _ in range(100):  # more than the soft limit
                    host, port = url.split(":")
                    connections.enter_context(socket.create_connection((host, int(port))))
                with triton.InferenceServerClient(url) as client:
                    assert client.is_model_ready("double", client_timeout=DEADLINE_S)
            process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == (0 if starts else 1)
    if not starts:
        error = stderr.splitlines()[-1]
        assert error.startswith(f"Error: only {limit.rsplit(maxsplit=1)[-1]} files may be open here")
        assert "tritonserver needs 256" in error


def test_too_little_address_space_is_told_where_it_ends_the_server(repository: Repository) -> None:
    repository.add("double")
    command = [sys.executable, "-m", "bertriton_server", *FREE_PORTS, "--model-repository", repository.path]
    command += ["--start-timeout", "5"]  # by where memory ends, tritonserver may stand still instead

    ended = subprocess.run(
        ["bash", "-c", 'ulimit -v 700000 && exec "$0" "$@"', *command],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert ended.returncode == 1
    assert (
        "0.7 GiB of address space are all it may use here, see `ulimit -v`" in ended.stderr.splitlines()[-1]
    )


def test_a_key_of_another_certificate_is_one_line_that_names_both(
    repository: Repository, tmp_path: Path
) -> None:
    repository.add("double")
    authority = trustme.CA()
    for name in ("one", "other"):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")

    result = run(
        "--model-repository",
        str(repository.path),
        *FREE_PORTS,
        f"--tls-cert={tmp_path / 'one.pem'}",
        f"--tls-key={tmp_path / 'other.key'}",
    )

    assert result.exit_code == 1
    assert f"other.key is not the private key of tls_cert {tmp_path / 'one.pem'}" in result.stderr
