"""The Hugging Face pipeline as seen from here: hugging_face.py in the environment that has torch."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

HUGGING_FACE_BATCHES = (1, 8, 32)
# Both: which is faster depends on the CPU.
HUGGING_FACE_DTYPES = ("float32", "bfloat16")

_SCRIPT = Path(__file__).with_name("hugging_face.py")


class HuggingFace:
    """The pipeline in a process of its own; idle unless it is asked."""

    def __init__(self, python: Path, checkpoint: Path, texts: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [python, _SCRIPT, checkpoint, texts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def seconds(self, dtype: str, batch_size: int) -> float:
        """How long all texts take, tokenised and classified in batches."""
        assert self._process.stdin  # noqa: S101 - a pipe was asked for
        print(dtype, batch_size, file=self._process.stdin, flush=True)
        return float(self._answer())

    def best_seconds(self) -> tuple[float, str]:
        """How long all texts take in the best of the dtypes and batch sizes, and which those are."""
        settings = itertools.product(HUGGING_FACE_DTYPES, HUGGING_FACE_BATCHES)
        return min(
            (self.seconds(dtype, batch), f"pipeline, {dtype}, batch {batch}") for dtype, batch in settings
        )

    def _answer(self) -> str:
        assert self._process.stdout  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline().strip()
        if not line:
            self._process.communicate()
            raise SystemExit(f"the Hugging Face pipeline ended with {self._process.returncode}; see above")
        return line
