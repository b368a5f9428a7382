"""LocalServer: comes up with all its models or says why not, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import shutil
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest

from bertriton_server import (
    AddressUnavailableError,
    LocalServer,
    ModelsNotReadyError,
    RepositoryError,
    ServerConfig,
    ServerError,
    ServerExitedError,
    StartTimeoutError,
    local_server,
)
from bertriton_server.process import choose_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Repository

    from bertriton_server import Runtime

SLOW_MODEL = """
import time

class TritonPythonModel:
    def initialize(self, args):
        time.sleep(60)
"""

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


def test_a_started_server_answers_at_all_its_addresses(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")

    with make_server() as server:
        assert fetch(f"{server.http_url}/v2/models/double/ready") == b""
        assert b"nv_inference_count" in fetch(server.metrics_url)
        host, port = server.grpc_url.split(":")
        socket.create_connection((host, int(port))).close()
        assert server.models() == ("double",)


def test_two_servers_run_at_once(make_server: Callable[..., LocalServer], repository: Repository) -> None:
    repository.add("double")

    with make_server() as one, make_server() as other:
        assert len({one.grpc_port, one.http_port, one.metrics_port} | {other.grpc_port, other.http_port}) == 5
        one.stop()
        assert other.models() == ("double",)


def test_a_server_can_follow_on_the_same_ports_at_once(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")
    with make_server() as first:
        fetch(first.metrics_url)

    ports = {
        "http_port": first.http_port,
        "grpc_port": first.grpc_port,
        "metrics_port": first.metrics_port,
    }
    with make_server(**ports) as second:
        assert second.grpc_url == first.grpc_url
        assert second.models() == ("double",)


@pytest.mark.parametrize("service", ["http", "grpc", "metrics"])
def test_a_taken_port_is_refused_before_the_start(
    make_server: Callable[..., LocalServer], repository: Repository, service: str
) -> None:
    repository.add("double")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = make_server(**{f"{service}_port": port})

        with pytest.raises(
            AddressUnavailableError, match=f"127.0.0.1:{port}: Address already in use"
        ) as caught:
            server.start()

    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)


def test_a_host_that_is_not_here_is_refused(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")

    with pytest.raises(AddressUnavailableError, match="give an IPv4 address"):
        make_server(host="::1").start()
    with pytest.raises(AddressUnavailableError, match="Cannot assign requested address"):
        make_server(host="192.0.2.1").start()


def test_a_free_port_lost_to_another_process_is_replaced(
    make_server: Callable[..., LocalServer], repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.add("double")
    with socket.create_server(("127.0.0.1", 0)) as thief:
        stolen = thief.getsockname()[1]
        choices = []

        def choose_the_stolen_port_first(hosts: dict[str, str], requested: dict[str, int]) -> dict[str, int]:
            choices.append(choose_ports(hosts, requested))
            return choices[-1] if len(choices) > 1 else {**choices[-1], "http": stolen}

        monkeypatch.setattr(local_server, "choose_ports", choose_the_stolen_port_first)
        with make_server() as server:
            assert server.http_port != stolen
            assert len(choices) == 2


def test_models_that_failed_are_told_with_tritons_reasons(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("good")
    repository.add("no_file")
    (repository.path / "no_file" / "1" / "model.onnx").unlink()
    repository.add("no_network")
    (repository.path / "no_network" / "1" / "model.onnx").write_text("hello")
    repository.add("no_backend", backend="absent")

    with pytest.raises(ModelsNotReadyError) as caught:
        make_server().start()

    reasons = caught.value.reasons
    assert set(reasons) == {"no_file", "no_network", "no_backend"}
    assert "model.onnx does not exist" in reasons["no_file"]
    assert "Protobuf parsing failed" in reasons["no_network"]
    assert "unable to find backend library for backend 'absent'" in reasons["no_backend"]
    assert "\n" not in str(caught.value)


def test_models_that_triton_passes_over_are_told_too(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("good")
    repository.add("no_config")
    (repository.path / "no_config" / "config.pbtxt").unlink()
    repository.add("no_version")
    shutil.rmtree(repository.path / "no_version" / "1")
    repository.add("bad_config")
    (repository.path / "bad_config" / "config.pbtxt").write_text("inputs: 3")
    repository.add("other_name")
    config = repository.path / "other_name" / "config.pbtxt"
    config.write_text(config.read_text().replace("other_name", "another"))

    with pytest.raises(ModelsNotReadyError) as caught:
        make_server().start()

    reasons = caught.value.reasons
    assert set(reasons) == {"no_config", "no_version", "bad_config", "other_name"}
    assert "failed to open text file" in reasons["no_config"]
    assert "at least one version must be available" in reasons["no_version"]
    assert "`bertriton export checkpoints/imdb-minilm --name imdb`" in reasons["no_version"]
    assert 'has no field named "inputs"' in reasons["bad_config"]
    assert "unexpected directory name" in reasons["other_name"]


def test_folders_that_are_no_models_do_no_harm(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")
    (repository.path / ".git" / "objects").mkdir(parents=True)
    (repository.path / "README.md").write_text("About these models.")

    with make_server() as server:
        assert server.models() == ("double",)


def test_a_flag_can_leave_models_out(make_server: Callable[..., LocalServer], repository: Repository) -> None:
    repository.add("wanted")
    repository.add("unwanted")

    with make_server(arguments=("--model-control-mode=explicit", "--load-model=wanted")) as server:
        assert server.models() == ("wanted",)


def test_a_repository_without_models_is_refused(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    with pytest.raises(RepositoryError, match=r"cannot read model repository .*: No such file") as caught:
        make_server().start()
    assert caught.value.path == repository.path

    repository.path.mkdir()
    with pytest.raises(RepositoryError, match="holds no model"):
        make_server().start()


def test_a_server_that_exits_is_told_with_its_last_words(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")

    with pytest.raises(
        ServerExitedError, match=r"exited with code 1: .*unrecognized option '--nonsense'"
    ) as caught:
        make_server(arguments=("--nonsense",)).start()

    assert caught.value.exit_code == 1
    assert "--nonsense" in caught.value.log_tail[-1]
    assert "\n" not in caught.value.summary


def test_a_server_that_is_too_slow_is_given_up(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    (repository.path / "slow" / "1").mkdir(parents=True)
    (repository.path / "slow" / "1" / "model.py").write_text(SLOW_MODEL)
    repository.configure("slow", backend="python")

    with pytest.raises(StartTimeoutError, match="not ready after 1 s") as caught:
        make_server(start_timeout_s=1.0).start()

    assert caught.value.timeout_s == 1.0
    assert caught.value.log_tail


def test_the_log_is_a_file_and_can_be_followed(runtime: Runtime, repository: Repository) -> None:
    repository.add("double")
    stream = io.StringIO()

    config = ServerConfig(repository.path, stop_grace_s=0)
    with LocalServer(config, runtime=runtime, log_stream=stream) as server:
        log = server.log_path.read_text()

    assert "Started GRPCInferenceService" in log
    assert stream.getvalue().startswith(log)


def test_what_needs_a_running_server_says_so(repository: Repository) -> None:
    server = LocalServer(repository.path)

    for ask in (lambda: server.pid, lambda: server.log_path, server.check):
        with pytest.raises(ServerError, match="does not run"):
            ask()
    with pytest.raises(ServerError, match="call start"):
        _ = server.grpc_url


def test_a_server_starts_only_once_at_a_time(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    repository.add("double")

    with make_server() as server, pytest.raises(ServerError, match="runs already"):
        server.start()


def test_an_installed_tritonserver_keeps_its_own_backends(
    runtime: Runtime, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.add("double")
    installed = tmp_path / "tritonserver"
    libraries = os.pathsep.join(map(str, runtime.library_path))
    installed.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {runtime.executable} "$@"\n')
    installed.chmod(0o755)
    monkeypatch.setenv("BERTRITON_TRITONSERVER", str(installed))

    with pytest.raises(ModelsNotReadyError, match="backend 'onnxruntime'"):
        LocalServer(ServerConfig(repository.path, stop_grace_s=0)).start()
