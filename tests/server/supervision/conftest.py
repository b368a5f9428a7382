"""`serve` processes under load, and a way to harm theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton import BertritonError, Client
from bertriton_export import export

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

ROOT = Path(__file__).parents[3]
TINY_CHECKPOINT = ROOT / "tests" / "data" / "checkpoints" / "one-layer"
CLASSIFIER = "one-layer"
START_TIMEOUT_S = 120.0
FREE_PORTS = ("--http-port=0", "--grpc-port=0", "--metrics-port=0")


class Serving:
    """A `serve` process: what it says, when, and which processes are its."""

    def __init__(self, repository: Path, *arguments: str) -> None:
        command = [
            sys.executable,
            "-m",
            "bertriton_server",
            *FREE_PORTS,
            "--model-repository",
            str(repository),
        ]
        began_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.told: list[tuple[float, str]] = []  # lines of stderr, and when they came
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready, Ctrl-C stops\n", self.told
        self.loading_s = time.monotonic() - began_s
        lines = [self.process.stdout.readline().split() for _ in range(4)]
        self.where = {words[0]: " ".join(words[1:]) for words in lines}

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.told.append((time.monotonic(), line.rstrip("\n")))

    def lines(self) -> list[str]:
        return [line for _, line in self.told]

    def recoveries(self) -> list[tuple[float, float]]:
        """When it said that it was ready again, and how long loading took then."""
        return [
            (at_s, float(line.partition("loading was ")[2].split()[0]))
            for at_s, line in list(self.told)
            if line.startswith("ready again")
        ]

    def process_of(self, name: str) -> int:
        """The process id of `tritonserver`, or of a model's stub."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (server,) = [pid for pid in children if "tritonserver" in _command_line(pid)]
        if name == "tritonserver":
            return int(server)
        stubs = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        (stub,) = [pid for pid in stubs if f"/{name}/" in _command_line(pid) and _parent_of(pid) == server]
        return int(stub)

    def harm(self, name: str, number: signal.Signals) -> float:
        """Send a signal to one of its processes; gives the time."""
        os.kill(self.process_of(name), number)
        return time.monotonic()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.lines()
            assert time.monotonic() < deadline_s, self.lines()
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal to `serve` itself; gives its exit status and the seconds that it took."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(START_TIMEOUT_S)
        took_s = time.monotonic() - began_s
        self.close()
        return status, took_s

    def close(self) -> None:
        """End it at once, if it runs still."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _parent_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1]
    except OSError:
        return ""


@dataclass
class Load:
    """Clients that classify without a pause, and what became of each call."""

    url: str
    timeout_s: float
    threads: int = 3
    answered_s: list[float] = field(default_factory=list)  # when
    errors: list[BertritonError] = field(default_factory=list)
    longest_s: float = 0.0
    wrong: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        with Client(self.url) as client:
            self._expected = {text: client.classify(text).logits for text in self._texts()}
        self._running = [threading.Thread(target=self._ask) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(self.timeout_s * 2)
        assert not any(thread.is_alive() for thread in self._running), "a call hangs"

    def answered_after(self, moment_s: float) -> float | None:
        """When the first call after that moment was answered."""
        return min((at_s for at_s in list(self.answered_s) if at_s >= moment_s), default=None)

    def _texts(self) -> list[str]:
        return [f"a {'very ' * length}good film" for length in (0, 3, 9, 30, 90)]

    def _ask(self) -> None:
        with Client(self.url, timeout=self.timeout_s) as client:
            while not self._stop.is_set():
                for text, expected in self._expected.items():
                    if self._stop.is_set():
                        return
                    asked_s = time.monotonic()
                    try:
                        answer = client.classify(text)
                    except BertritonError as error:
                        self.errors.append(error)
                    else:
                        self.answered_s.append(time.monotonic())
                        self.wrong += answer.logits != expected
                    self.longest_s = max(self.longest_s, time.monotonic() - asked_s)


@pytest.fixture(scope="module")
def classifier_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of one layer, which loads fast."""
    repository = tmp_path_factory.mktemp("classifier")
    export(TINY_CHECKPOINT, repository=repository, precision="fp32")
    return repository


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts `serve` with a repository and options; all are ended with the test."""
    started: list[Serving] = []

    def make(repository: Path, *arguments: str) -> Serving:
        started.append(Serving(repository, *arguments))
        return started[-1]

    yield make
    for serving in started:
        serving.close()


@pytest.fixture
def load() -> type[Load]:
    """Makes clients that classify without a pause."""
    return Load
