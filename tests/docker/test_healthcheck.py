"""The images' health check, asked of a real Triton: it fails where nobody is answered, and only there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton import BertritonError, Client, RetryPolicy
from bertriton_export import export
from bertriton_server import LocalServer, Security, ServerConfig
from bertriton_server.process import members_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
FILES = ("docker/healthcheck.py", "server/bertriton_server/process/http_probe.py")
TINY_CHECKPOINT = ROOT / "tests" / "data" / "checkpoints" / "one-layer"
TIMEOUT_S = 10.0  # what the images and manifests allow
API_KEY = "correcthorse7"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("classifier")
    export(TINY_CHECKPOINT, repository=repository, precision="fp32", name="first")
    export(TINY_CHECKPOINT, repository=repository, precision="fp32", name="second")
    return repository


@pytest.fixture
def server(classifier: Path) -> Iterator[LocalServer]:
    with LocalServer(ServerConfig(classifier, stop_grace_s=0)) as server:
        yield server


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the health check as it lies in an image."""
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path)

    def run(server: LocalServer, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, tmp_path / "healthcheck.py"],
            env={"BERTRITON_HTTP_PORT": str(server.http_port), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    return run


def harm(server: LocalServer, name: str, number: signal.Signals) -> None:
    (pid,) = [member.pid for member in members_of(server.pid) if member.name == name]
    os.kill(pid, number)


def test_it_names_the_models_that_answer(
    server: LocalServer, check: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = check(server)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "ready: first, first_bert, first_tokenizer, second, second_bert, second_tokenizer\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("part", ["second_tokenizer", "first_bert", "tritonserver"])
def test_it_fails_when_a_process_is_dead_or_stopped(
    server: LocalServer,
    check: Callable[..., subprocess.CompletedProcess[str]],
    part: str,
    number: signal.Signals,
) -> None:
    harm(server, part, number)

    done = check(server)

    assert done.returncode == 1
    name = "" if part == "tritonserver" else part.partition("_")[0]
    assert done.stderr.startswith(f"not ready: {name}")


def test_a_busy_server_is_healthy(
    server: LocalServer, check: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    texts = [f"a {'very ' * 120}good film"] * 64
    until_s = time.monotonic() + 3 * TIMEOUT_S

    def flood() -> int:
        refused = 0
        with Client(server.grpc_url, "first", timeout=TIMEOUT_S, retry=RetryPolicy(max_attempts=1)) as client:
            while time.monotonic() < until_s and not done:
                refused += any(
                    isinstance(answer, BertritonError)
                    for answer in client.classify(texts, return_exceptions=True)
                )
        return refused

    done: list[subprocess.CompletedProcess[str]] = []
    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(flood)
        time.sleep(1)
        outcome = check(server)
        done.append(outcome)

    assert outcome.returncode == 0, outcome.stderr


def test_it_carries_the_key_of_its_environment(
    classifier: Path, check: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    security = Security(api_key=API_KEY)
    with LocalServer(ServerConfig(classifier, stop_grace_s=0, security=security)) as server:
        with_key = check(server, BERTRITON_API_KEY=API_KEY)
        without = check(server)

    assert with_key.returncode == 0, with_key.stderr
    assert without.returncode == 1
    assert "403: This API is restricted" in without.stderr


def test_a_proxy_does_not_come_between(
    server: LocalServer, check: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert check(server, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9").returncode == 0
