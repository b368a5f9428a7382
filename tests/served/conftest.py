"""Two exports of one name that say the same in opposite ways, servers that change between them, and callers.

The rows of `after`'s classifier are swapped, and so are its labels. So every text has one right label,
whichever of the exports answers, and its logits tell which did. Whoever reads the logits of one by the labels
of the other is always wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import Client
from bertriton_export import export
from bertriton_server import LocalServer, Security, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

CHECKPOINTS = Path(__file__).parent.parent / "data" / "checkpoints"
NAME = "reviews"
LABELS = ("neg", "pos")
TEXTS = [f"{word} film number {number}" for number in range(16) for word in ("good", "bad", "the", "no")]
CALLERS = 3
PATIENCE_S = 120.0  # for what takes a second or two on a machine that is not busy
CLOSE = 1e-4
NO_GPU = re.compile("cuda|nvml", re.IGNORECASE)


@dataclass(frozen=True)
class Exports:
    """Two exports of one name, and what they say."""

    folder: Path
    before: str  # fingerprint
    after: str
    name: str
    truth: dict[str, tuple[str, tuple[float, ...]]]  # text -> its right label, and the logits of `before`

    def copy(self, which: str, place: Path) -> Path:
        """A repository to serve, which a test may change."""
        return shutil.copytree(self.folder / which, place)

    def replace(self, which: str, repository: Path, on_stage: Callable[[str], object] = str) -> None:
        """Export into a repository that is served."""
        is_before = which == "before"
        export(
            CHECKPOINTS / "one-layer" if is_before else self.folder / "checkpoint",
            name=NAME,
            repository=repository,
            labels=LABELS if is_before else LABELS[::-1],
            precision="fp32",
            on_stage=on_stage,
        )

    def hold(self, text: str, answer: Any) -> str:
        """Hold one answer to the truth by its logits, and give the export that made it."""
        label, logits = self.truth[text]
        swapped = logits[::-1]
        distances = {
            fingerprint: max(abs(found - right) for found, right in zip(answer.logits, of, strict=True))
            for fingerprint, of in ((self.before, logits), (self.after, swapped))
        }
        made_by = min(distances, key=lambda fingerprint: distances[fingerprint])
        assert distances[made_by] < CLOSE
        assert (answer.fingerprint, answer.label) == (made_by, label), text
        assert answer.scores[label] == answer.score == max(answer.scores.values())
        return made_by


def _swapped(checkpoint: Path, place: Path) -> Path:
    """A checkpoint whose classifier has its two rows the other way round."""
    shutil.copytree(checkpoint, place)
    file = place / "model.safetensors"
    content = bytearray(file.read_bytes())
    (header_bytes,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + header_bytes])
    for name in ("classifier.weight", "classifier.bias"):
        start, end = (8 + header_bytes + offset for offset in header[name]["data_offsets"])
        middle = (start + end) // 2
        content[start:end] = content[middle:end] + content[start:middle]
    file.write_bytes(content)
    return place


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    folder = tmp_path_factory.mktemp("exports")
    one_layer = CHECKPOINTS / "one-layer"
    swapped = _swapped(one_layer, folder / "checkpoint")
    settings: dict[str, Any] = {"name": NAME, "precision": "fp32"}
    before = export(one_layer, repository=folder / "before", labels=LABELS, **settings)
    after = export(swapped, repository=folder / "after", labels=LABELS[::-1], **settings)
    export(CHECKPOINTS / "cased", repository=folder / "cased", **settings)
    asked = shutil.copytree(folder / "before", folder / "asked")
    with (
        LocalServer(ServerConfig(asked, stop_grace_s=0)) as server,
        Client(server.grpc_url) as client,
    ):
        answers = client.classify(TEXTS)
    truth = {
        text: (answer.label, answer.logits)
        for text, answer in zip(TEXTS, answers, strict=True)
        if abs(answer.logits[0] - answer.logits[1]) > 10 * CLOSE
    }
    assert len(truth) > len(TEXTS) / 2
    assert {label for label, _ in truth.values()} == set(LABELS)
    return Exports(folder, before.classifier.fingerprint, after.classifier.fingerprint, NAME, truth)


class Load:
    """Callers that ask without pause, each with a client of its own, and hold every answer to the truth."""

    def __init__(self, exports: Exports, url: str, **settings: Any) -> None:
        self._exports = exports
        self._url = url
        self._settings = settings
        self._is_over = threading.Event()
        self._failures: list[BaseException] = []
        self._counts: list[dict[str, int]] = [{} for _ in range(CALLERS)]
        self._threads = [threading.Thread(target=self._call, args=(counts,)) for counts in self._counts]

    def _call(self, counts: dict[str, int]) -> None:
        texts = list(self._exports.truth)
        try:
            with Client(self._url, NAME, timeout=PATIENCE_S, **self._settings) as client:
                while not self._is_over.is_set():
                    for text, answer in zip(texts, client.classify(texts), strict=True):
                        made_by = self._exports.hold(text, answer)
                        counts[made_by] = counts.get(made_by, 0) + 1
        except BaseException as error:  # noqa: BLE001  # told by the test, in its own thread
            self._failures.append(error)

    def answers_of(self, fingerprint: str) -> int:
        """How many answers an export has made."""
        return sum(counts.get(fingerprint, 0) for counts in self._counts)

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return sum(sum(counts.values()) for counts in self._counts)

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Let the callers go on until it has happened."""
        given_up = time.monotonic() + PATIENCE_S
        while not happened():
            if self._failures:
                raise self._failures[0]
            assert time.monotonic() < given_up, "it never happened"
            time.sleep(0.01)

    def wait_for(self, fingerprint: str) -> None:
        """Let the callers go on until all the newest answers are of one export."""

        def is_alone() -> bool:
            all_before, its_before = self.answers, self.answers_of(fingerprint)
            self.wait_until(lambda: self.answers > all_before + CALLERS * 2 * len(TEXTS))
            return self.answers - all_before <= self.answers_of(fingerprint) - its_before

        self.wait_until(is_alone)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]


class Replicas(ExitStack):
    """Servers on one port of several addresses, and a target that goes round all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._servers: dict[str, LocalServer] = {}

    def serve(self, host: str, repository: Path) -> None:
        """Serve at an address in place of what was served there."""
        if host in self._servers:
            self._servers[host].stop()
        port = next((server.grpc_port for server in self._servers.values()), 0)
        config = ServerConfig(repository, host=host, grpc_port=port)
        self._servers[host] = LocalServer(config)
        self._servers[host].start()
        self.callback(self._servers[host].stop, grace_s=0)

    @property
    def url(self) -> str:
        return "ipv4:" + ",".join(server.grpc_url for server in self._servers.values())


class ControlledServer(LocalServer):
    """A server whose models are loaded anew while it runs, by its own look at the folder or by request."""

    def __init__(self, repository: Path, *flags: str) -> None:
        security = Security(model_control=True)
        super().__init__(ServerConfig(repository, stop_grace_s=0, arguments=flags, security=security))

    def start(self) -> None:
        """Start, and wait for the model: who controls models decides when they are loaded."""
        super().start()
        given_up = time.monotonic() + PATIENCE_S
        with Client(self.grpc_url, NAME) as client:
            while not client.is_ready():
                assert time.monotonic() < given_up
                time.sleep(0.05)

    def load_again(self, *suffixes: str) -> None:
        """Have the model loaded, or parts of it, one after the other."""
        for suffix in suffixes:
            url = f"{self.http_url}/v2/repository/models/{NAME}{suffix}/load"
            urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=PATIENCE_S).close()

    def errors(self) -> list[str]:
        """What the log calls an error, but for the lack of a GPU."""
        lines = self.log_path.read_text().splitlines()
        return [line for line in lines if line.startswith("E") and not NO_GPU.search(line)]


@pytest.fixture
def polling_server() -> Callable[[Path], ControlledServer]:
    """Makes a server that looks every second whether its repository has changed."""

    def make(repository: Path) -> ControlledServer:
        return ControlledServer(repository, "--model-control-mode=poll", "--repository-poll-secs=1")

    return make


@pytest.fixture
def explicit_server() -> Callable[[Path], ControlledServer]:
    """Makes a server that loads what it is told to."""

    def make(repository: Path) -> ControlledServer:
        return ControlledServer(repository, "--model-control-mode=explicit", f"--load-model={NAME}")

    return make


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    """No server yet."""
    with Replicas() as servers:
        yield servers


@pytest.fixture
def load(exports: Exports) -> Callable[..., Load]:
    """Makes callers of an address."""
    return partial(Load, exports)
