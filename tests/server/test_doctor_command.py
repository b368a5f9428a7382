"""`doctor`: what a report of a fault needs, for people and for programs."""

from __future__ import annotations

import json
import os
import socket
from importlib import metadata
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from bertriton_server.doctor_command import doctor_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from bertriton_server import LocalServer

FREE = ("--http-port=0", "--grpc-port=0", "--metrics-port=0")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor_command, arguments)


def told(*arguments: str) -> dict[str, Any]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_it_tells_versions_machine_runtime_and_ports() -> None:
    found = told(*FREE)

    assert found["packages"]["tritonclient"] == metadata.version("tritonclient")
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_gib"] > 0
    assert found["runtime"]["kind"] in {"installed", "from pip", "to be installed"}
    assert {port["service"]: port["state"] for port in found["ports"]} == {
        "gRPC": "free",
        "HTTP": "free",
        "metrics": "free",
    }


def test_people_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTRITON_TOKEN", "sesame")
    monkeypatch.setenv("BERTRITON_URL", "triton.example:8001")
    lines = run(*FREE).output.splitlines()

    assert [line for line in lines if not line.startswith(" ")] == [
        *("bertriton", "machine", "runtime", "ports", "environment", "concerns"),
    ]
    words = " ".join(" ".join(lines).split())
    assert f"tritonclient {metadata.version('tritonclient')}" in words
    assert "BERTRITON_URL triton.example:8001" in words
    assert "BERTRITON_TOKEN (set)" in words
    assert "sesame" not in words


def test_taken_ports_are_told_with_who_has_them(imdb_server: LocalServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = told(f"--http-port={imdb_server.http_port}", f"--grpc-port={port}", "--metrics-port=0")

    states = {one["service"]: one["state"] for one in found["ports"]}
    assert states == {"HTTP": "taken by a Triton", "gRPC": "taken", "metrics": "free"}
    whats = [concern["what"] for concern in found["concerns"] if concern["kind"] == "wrong"]
    assert f"port {imdb_server.http_port} is taken by a Triton" in whats
    assert f"port {port} is taken" in whats
    advices = [concern["advice"] for concern in found["concerns"] if concern["what"] in whats]
    assert all(advice.startswith("leave it if it is your own server, else stop") for advice in advices)


def test_what_others_may_do_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    arguments = ("--host=0.0.0.0", f"--model-repository={tmp_path}", *FREE)
    unsafe = [concern["what"] for concern in told(*arguments)["concerns"] if concern["kind"] == "unsafe"]
    monkeypatch.setenv("BERTRITON_API_KEY", "sesame")
    (tmp_path / "open").chmod(0o755)
    guarded = [concern["what"] for concern in told(*arguments)["concerns"] if concern["kind"] == "unsafe"]

    assert "everybody who reaches 0.0.0.0 may ask the server" in unsafe
    assert f"every user may write to {tmp_path / 'open'}, which holds code" in unsafe
    assert not [what for what in guarded if "proxy" not in what and "root" not in what]
    assert ("a server started here runs as root" in guarded) == (os.geteuid() == 0)


def test_a_tritonserver_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTRITON_TRITONSERVER", "/absent/tritonserver")
    found = told(*FREE)

    assert found["runtime"]["kind"] == "none"
    (concern,) = [one for one in found["concerns"] if one["what"] == "there is no tritonserver"]
    assert "/absent/tritonserver is not an executable file" in concern["advice"]


def test_an_unknown_host_is_one_line() -> None:
    result = run("--host=absent.invalid", *FREE)

    assert result.exit_code == 1
    assert "cannot listen on 'absent.invalid'" in result.output


def test_a_network_for_another_kind_of_cpu_is_told(tmp_path: Path) -> None:
    config = tmp_path / "reviews_bert" / "config.pbtxt"
    config.parent.mkdir()
    config.write_text('parameters { key: "cpu_feature" value { string_value: "vnni_of_tomorrow" } }\n')

    found = told(*FREE, "--model-repository", str(tmp_path))

    told_of = {concern["what"]: concern["advice"] for concern in found["concerns"]}
    advice = told_of["reviews_bert was exported for CPUs with vnni_of_tomorrow, and this one has none"]
    assert advice.startswith("export it again")
