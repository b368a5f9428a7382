"""The hash that tells one checkpoint, and one exported file, from another."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HASH_BLOCK_BYTES: Final = 2**20


def sha256_of(files: Iterable[Path]) -> str:
    """The sha256 of the files' bytes, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
