"""Infinity, a server of its own, asked over HTTP on the loopback.

    .venv-infinity/bin/python bench/comparisons/contenders/infinity_server.py CHECKPOINT TEXTS.json

A server at a time: where another dtype is asked for, it is started anew.
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from line_protocol import answer_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DTYPES = ("bfloat16", "float32")
HOST = "127.0.0.1"
MODEL = "classifier"
STARTS_WITHIN_S = 180.0
LOOKS_EVERY_S = 0.2
# Of the texts of one request; more are refused.
MAX_TEXTS = 2048
HTTP_OK = 200


class Infinity:
    """The server of the dtype that was last asked for."""

    def __init__(self, checkpoint: str) -> None:
        self.versions = ", ".join(
            f"{name} {version(name)}" for name in ("infinity_emb", "torch", "transformers")
        )
        self.settings = DTYPES
        self._checkpoint = checkpoint
        self._dtype = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        atexit.register(self._stop)

    def prepare(self, texts: Sequence[str], setting: str) -> Callable[[], list[str]]:
        """See `line_protocol.Contender`."""
        self._serve(setting)
        connection = self._connection()
        requests = [texts[start : start + MAX_TEXTS] for start in range(0, len(texts), MAX_TEXTS)]
        return lambda: [label for request in requests for label in classified(connection, request)]

    def prepare_singles(self, texts: Sequence[str], setting: str, in_flight: int) -> Callable[[], list[str]]:
        """See `line_protocol.Server`."""
        self._serve(setting)
        idle: SimpleQueue[http.client.HTTPConnection] = SimpleQueue()
        for _ in range(in_flight):
            idle.put(self._connection())

        def classify(text: str) -> str:
            connection = idle.get()
            try:
                return classified(connection, [text])[0]
            finally:
                idle.put(connection)

        def run() -> list[str]:
            with ThreadPoolExecutor(in_flight) as pool:
                return list(pool.map(classify, texts))

        return run

    def _serve(self, dtype: str) -> None:
        if dtype == self._dtype:
            return
        self._stop()
        self._port = free_port()
        command = [
            *(str(Path(sys.executable).with_name("infinity_emb")), "v2", "--model-id", self._checkpoint),
            *("--served-model-name", MODEL, "--engine", "torch", "--device", "cpu", "--dtype", dtype),
            *("--host", HOST, "--port", str(self._port), "--log-level", "error", "--no-model-warmup"),
        ]
        # It tells its makers how it is used unless this is set.
        environment = os.environ | {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(command, env=environment)  # noqa: S603 (its own command)
        self._dtype = dtype
        self._wait()

    def _wait(self) -> None:
        assert self._process  # noqa: S101 - `_serve` has started it
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"infinity_emb ended with {self._process.returncode}; see above")
            try:
                classified(self._connection(), ["A fine film."])
            except OSError:
                time.sleep(LOOKS_EVERY_S)
            else:
                return
        raise SystemExit(f"infinity_emb does not answer after {STARTS_WITHIN_S:.0f} s")

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self._port)

    def _stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None


def classified(connection: http.client.HTTPConnection, texts: Sequence[str]) -> list[str]:
    """The likeliest label of each text of one request."""
    body = json.dumps({"model": MODEL, "input": list(texts)})
    connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != HTTP_OK:
        raise SystemExit(f"infinity_emb answers {answer.status}: {content.decode(errors='replace')[:500]}")
    return [likeliest(scores) for scores in json.loads(content)["data"]]


def likeliest(scores: Sequence[dict[str, Any]]) -> str:
    """The label with the highest score."""
    return str(max(scores, key=lambda entry: float(entry["score"]))["label"])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    answer_lines(sys.argv[2], lambda: Infinity(sys.argv[1]))
