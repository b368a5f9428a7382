"""A server that is ill is found so and started anew; one that is busy is not."""

from __future__ import annotations

import http.client
import os
import signal
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import Client, RetryPolicy
from bertriton_server import LocalServer, NotHealedError, ServerConfig
from bertriton_server.process import members_of
from bertriton_server.supervision import Rules, Supervisor
from bertriton_server.supervision.doctor import Doctor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RECOVERY_S = 60.0  # on a busy machine; the times themselves are for test_chaos
GRACE_S = 30.0
PARSER_KILLER = b'{"inputs":' + b"[" * 120_000
# As the tokenizer of a classifier, but some texts keep its process from answering anybody.
TRAP = """
import time as _time
_execute = TritonPythonModel.execute
def _trapped(self, requests):
    for request in requests:
        text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().ravel()[0]
        while text == b"hang":
            _time.sleep(60)
        if text.startswith(b"compute"):
            until = _time.monotonic() + float(text.split()[1])
            while _time.monotonic() < until:
                pass
    return _execute(self, requests)
TritonPythonModel.execute = _trapped
"""
QUICK = Rules(probe_deadline_s=1.0)


@pytest.fixture
def trapped(classifier_repository: Path) -> Iterator[Path]:
    """The classifier, with a tokenizer that hangs or computes for long when a text says so."""
    model = classifier_repository / "one-layer_tokenizer" / "1" / "model.py"
    before = model.read_text()
    model.write_text(before + TRAP)
    yield classifier_repository
    model.write_text(before)


@pytest.fixture
def server(trapped: Path) -> Iterator[LocalServer]:
    with LocalServer(ServerConfig(trapped, stop_grace_s=0)) as server:
        yield server


class Interrupted(Exception):  # noqa: N818 - no error
    """Ends a supervisor's watch."""


def watch(server: LocalServer, rules: Rules, seconds: float, *, until_told: int = 1) -> list[str]:
    """What a supervisor says in so many seconds, or until it has said so many lines."""
    told: list[str] = []
    supervisor = Supervisor(server, rules, told.append)
    until_s = time.monotonic() + seconds
    check = server.check

    def check_or_end() -> None:
        if time.monotonic() > until_s or len(told) >= until_told:
            raise Interrupted
        check()

    server.check = check_or_end  # type: ignore[method-assign]
    try:
        with pytest.raises(Interrupted):
            supervisor.watch()
    finally:
        server.check = check  # type: ignore[method-assign]
    return told


def send(server: LocalServer, text: str) -> None:
    """Have a text classified, and do not wait for it."""
    client = Client(server.grpc_url, timeout=0.3, retry=RetryPolicy(max_attempts=1))
    client.classify(text, return_exceptions=True)
    client.close()


def test_a_process_that_hangs_is_found_though_it_lives(server: LocalServer) -> None:
    send(server, "hang")

    told = watch(server, QUICK, RECOVERY_S, until_told=2)

    assert told[0].startswith("one-layer answers nobody: ")
    assert told[1].startswith("ready again")
    with Client(server.grpc_url) as client:
        assert client.is_ready()


def test_a_process_at_work_on_something_large_is_left_alone(server: LocalServer) -> None:
    pid = server.pid
    send(server, "compute 8")

    assert watch(server, QUICK, 8) == []
    assert server.pid == pid


def test_patience_with_a_process_at_work_ends(server: LocalServer) -> None:
    send(server, "compute 300")

    told = watch(server, Rules(probe_deadline_s=1.0, busy_patience_s=5.0), RECOVERY_S)

    assert told[0].startswith("one-layer answers nobody: ")


def test_an_overloaded_server_is_left_alone(server: LocalServer, load: Callable[..., Any]) -> None:
    pid = server.pid

    with load(server.grpc_url, timeout_s=20.0, threads=24) as clients:
        told = watch(server, Rules(probe_deadline_s=0.2, probe_interval_s=0.1), 6)

    assert told == []
    assert server.pid == pid
    assert clients.wrong == 0


def test_a_server_stays_on_its_ports(classifier_repository: Path) -> None:
    with LocalServer(ServerConfig(classifier_repository, stop_grace_s=0)) as server:
        urls, pid = (server.grpc_url, server.http_url, server.metrics_url), server.pid
        with Client(server.grpc_url) as client:
            before = client.classify("a good film")
            server.restart()
            assert client.classify("a good film") == before

        assert (server.grpc_url, server.http_url, server.metrics_url) == urls
        assert server.pid != pid


def test_a_server_that_cannot_be_started_anew_is_given_up_with_both_reasons(
    classifier_repository: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "moved"
    classifier_repository.rename(repository)
    try:
        server = LocalServer(ServerConfig(repository, stop_grace_s=0))
        server.start()
        repository.rename(classifier_repository)
        os.kill(server.pid, signal.SIGKILL)
        rules = Rules(backoff_s=(0.0, 0.1), max_failed_restarts=3)
        told: list[str] = []

        with pytest.raises(NotHealedError, match="ended by signal 9; 3 restarts in a row") as caught:
            Supervisor(server, rules, told.append).watch()

        assert "cannot read model repository" in str(caught.value)
        assert len(told) == 4
    finally:
        server.stop()


def test_backoff_grows_and_begins_anew_once_the_server_was_well(classifier_repository: Path) -> None:
    rules = Rules(backoff_s=(0.0, 2.0), well_after_s=1.0, broken_for_s=0.0, look_interval_s=0.1)
    with LocalServer(ServerConfig(classifier_repository, stop_grace_s=0)) as server:
        supervisor = Supervisor(server, rules, lambda _: None)

        waits_s = [supervisor._next_backoff_s() for _ in range(3)]  # noqa: SLF001

    assert waits_s == [0.0, 2.0, 2.0]


def test_http_that_kills_tritonserver_costs_one_restart(
    serve: Callable[..., Any], classifier_repository: Path
) -> None:
    serving = serve(classifier_repository)
    address = serving.where["HTTP"].removeprefix("http://")

    for done in range(2):
        connection = http.client.HTTPConnection(address, timeout=10)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v2/models/one-layer/infer", PARSER_KILLER)
            connection.getresponse()
        serving.wait_until(lambda done=done: len(serving.recoveries()) > done, RECOVERY_S)
        with Client(serving.where["gRPC"]) as client:
            assert client.is_ready()

    assert "tritonserver was ended by signal 11: starting the server anew" in serving.lines()


def test_a_process_that_is_stopped_while_the_server_starts_anew_does_not_hold_it_up(
    serve: Callable[..., Any], classifier_repository: Path
) -> None:
    serving = serve(classifier_repository)
    first = serving.harm("tritonserver", signal.SIGKILL)
    assert first
    serving.wait_until(lambda: "ended by signal 9" in "".join(serving.lines()), RECOVERY_S)
    until_s = time.monotonic() + RECOVERY_S
    while True:  # as soon as the next one is there
        try:
            serving.harm("tritonserver", signal.SIGSTOP)
            break
        except (ValueError, ProcessLookupError):
            assert time.monotonic() < until_s

    serving.wait_until(lambda: len(serving.recoveries()) == 1, RECOVERY_S)

    assert any("was stopped while it started" in line for line in serving.lines())


@pytest.mark.parametrize(
    ("part", "number"),
    [
        ("one-layer_tokenizer", signal.SIGKILL),
        ("one-layer_bert", signal.SIGSTOP),
        ("tritonserver", signal.SIGSTOP),
        ("tritonserver", signal.SIGKILL),
    ],
)
def test_sigterm_ends_an_ill_server_well_within_its_grace(
    serve: Callable[..., Any],
    load: Callable[..., Any],
    classifier_repository: Path,
    part: str,
    number: signal.Signals,
) -> None:
    serving = serve(classifier_repository)

    with load(serving.where["gRPC"], timeout_s=5.0) as clients:
        serving.harm(part, number)
        status, took_s = serving.end(signal.SIGTERM)

    assert status == 0, serving.lines()
    assert took_s < GRACE_S * 2 / 3
    assert [error for error in clients.errors if not error.retryable] == []


def test_a_process_that_is_stopped_while_the_server_ends_does_not_hold_it_up(
    classifier_repository: Path,
) -> None:
    with LocalServer(ServerConfig(classifier_repository)) as server:
        doctor = Doctor(server.pid, server.http_endpoint, Rules())
        os.kill(server.pid, signal.SIGSTOP)

        began_s = time.monotonic()
        server.stop(is_in_vain=doctor.is_broken_for_long)

    assert time.monotonic() - began_s < GRACE_S * 2 / 3


def test_sigterm_ends_a_server_that_is_being_started_anew(
    serve: Callable[..., Any], classifier_repository: Path
) -> None:
    serving = serve(classifier_repository)
    serving.harm("tritonserver", signal.SIGKILL)
    serving.wait_until(lambda: "ended by signal 9" in "".join(serving.lines()), RECOVERY_S)

    status, took_s = serving.end(signal.SIGTERM)

    assert status == 0
    assert took_s < GRACE_S * 2 / 3


def test_the_processes_of_a_server_are_told_apart(server: LocalServer) -> None:
    members = members_of(server.pid)

    assert sorted(member.name for member in members) == [
        "one-layer_bert",
        "one-layer_tokenizer",
        "tritonserver",
    ]
    assert [member.is_child for member in members if member.name == "tritonserver"] == [False]
    assert not any(member.has_ended or member.is_stopped for member in members)
