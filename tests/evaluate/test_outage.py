"""A server that is gone in the middle costs no text that was answered."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 4100  # two parts and a little
WAIT_S = 240.0
DEAD_AFTER_S = "10"  # what a request waits for a server that is gone


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    rows = ({"text": f"film {number}", "label": ("neg", "pos")[number % 2]} for number in range(ROWS))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def mortal_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A server of one test's own, which may kill it."""
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0)) as server:
        yield server


def _wait_for_part(place: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not list(place.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("is_kept", [True, False], ids=["--output", "no --output"])
def test_a_killed_server_costs_nothing_that_was_answered(
    mortal_server: LocalServer, texts: Path, tmp_path: Path, *, is_kept: bool
) -> None:
    output, cache = tmp_path / "out.jsonl", tmp_path / "cache"
    words = ["evaluate", "--data", str(texts), "--url", mortal_server.grpc_url, "--json"]
    command = [sys.executable, "-m", "bertriton", *words, *(["--output", str(output)] if is_kept else [])]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        [*command, "--timeout", DEAD_AFTER_S],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _wait_for_part(tmp_path)
        os.kill(mortal_server.pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=WAIT_S)

    assert process.returncode == 1
    assert stdout == ""
    (line,) = stderr.splitlines()
    (kept,) = re.findall(r"what is finished is kept in (.+): the same command goes on from there", line)
    assert Path(kept).is_dir()
    assert Path(kept).is_relative_to(tmp_path if is_kept else cache)
    finished = sum(part.read_bytes().count(b"\n") for part in Path(kept).glob("*.part"))
    assert 2000 <= finished < ROWS
    config = replace(mortal_server.config, grpc_port=mortal_server.grpc_port)
    with LocalServer(config):
        command += ["--timeout", str(WAIT_S)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["metrics"]["texts"] == ROWS
    assert found["speed"]["texts"] == ROWS - finished
    assert not Path(kept).exists()
    if is_kept:
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert [row["text"] for row in rows] == [f"film {number}" for number in range(ROWS)]
