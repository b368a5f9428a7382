"""Which files a command writes: none of them over another, nor over what it reads."""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING

from bertriton._files.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def require_no_loss(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """See that no output replaces an input or another output, under whatever name.

    Args:
        outputs: what will be written; None stands for what was not asked for.
        inputs: what is read, likewise.

    Raises:
        JobError: one would be lost.
    """
    written = [path for path in outputs if path is not None]
    for output in written:
        if any(path is not None and _are_one(output, path) for path in inputs):
            raise JobError(f"{output} is the input itself, which would be lost: choose another output")
    for one, other in combinations(written, 2):
        if _are_one(one, other):
            raise JobError(f"two outputs are to be {other}, and one would be lost: choose another for one")


def _are_one(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet, or cannot be, which is told later
        return os.path.realpath(one) == os.path.realpath(other)
