"""A contender in a process of its own, in an environment of its own; idle unless it is asked.

line_protocol.py says what is asked and answered.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

HUGGING_FACE = "Hugging Face pipeline"
OPENVINO = "OpenVINO int8, in process"
CTRANSLATE2 = "CTranslate2 int8, in process"
INFINITY = "Infinity, HTTP"
PEERS = (OPENVINO, CTRANSLATE2, HUGGING_FACE, INFINITY)
CALIBRATION = "calibration"  # the set of texts that others quantise by

_NAME_TO_SCRIPT = {
    HUGGING_FACE: "hugging_face.py",
    OPENVINO: "openvino_int8.py",
    CTRANSLATE2: "ctranslate2_int8.py",
    INFINITY: "infinity_server.py",
}


@dataclass(frozen=True)
class Environments:
    """The Pythons that contenders run in, and where those that convert a checkpoint keep what they make."""

    torch: Path  # with torch, transformers, openvino, nncf and ctranslate2
    infinity: Path | None  # with infinity_emb; None: Infinity takes no part
    cache: Path

    def start(self, name: str, checkpoint: Path, texts: Path) -> Peer:
        """Start one of them, without waiting for it.

        Args:
            name: one of PEERS.
            checkpoint: of a classifier, as Transformers reads it.
            texts: a JSON file of sets of texts, by name.
        """
        python = self.infinity if name == INFINITY else self.torch
        assert python  # noqa: S101 - it takes no part without
        script = Path(__file__).with_name(_NAME_TO_SCRIPT[name])
        return Peer(
            name, [str(part) for part in (python, script, checkpoint, texts, self.cache / checkpoint.name)]
        )


class Peer:
    """One contender's process."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.labels: list[str] = []  # of the texts that were asked for last
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._greeting: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    @property
    def versions(self) -> str:
        """Of what it runs on; waits until it is ready."""
        return str(self._ready["versions"])

    @property
    def settings(self) -> list[str]:
        """All that it can be asked for; waits until it is ready."""
        return list(self._ready["settings"])

    def seconds(self, texts: str, setting: str, *, count: int | None = None, in_flight: int = 0) -> float:
        """How long texts take.

        Args:
            texts: name of the set.
            setting: one of `settings`.
            count: the first so many of the set; None: all.
            in_flight: 0: they are given as a list; else a server gets them one a request, so many at a time.
        """
        assert self._ready  # noqa: S101 - it is asked when it listens
        assert self._process.stdin  # noqa: S101 - a pipe was asked for
        question = {"texts": texts, "setting": setting, "count": count, "in_flight": in_flight}
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._answer()
        self.labels = answer["labels"]
        return float(answer["seconds"])

    def best_seconds(self, texts: str) -> tuple[float, str]:
        """How long they take in the best of the settings, and which that is."""
        return min((self.seconds(texts, setting), setting) for setting in self.settings)

    @property
    def _ready(self) -> dict[str, Any]:
        self._greeting = self._greeting or self._answer()
        return self._greeting

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise SystemExit(f"{self.name} ended with {self._process.returncode}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer
