"""Files of a checkpoint that are read whole: everything but weights."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SMALL_FILE_BYTES: Final = (
    2**26
)  # the largest tokenizers are of about 20 MB; read, it takes twenty times as much
# What Git leaves in place of a large file that it did not fetch (git-lfs, docs/spec.md).
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"


def is_there(file: Path) -> bool:
    """Whether there is a file of that name, which can then be read.

    A name that leads to no file is not taken for none: what stands in the file would be lost without a word.

    Raises:
        CheckpointError: the name, or a folder's above it, is a link that leads nowhere or back to itself; or
            it is no file's; or it cannot be looked at.
    """
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        refuse_broken_link(file)
        return False
    except OSError as exc:
        refuse_broken_link(file)
        raise CheckpointError(file, f"cannot be looked at: {exc.strerror}") from exc
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise CheckpointError(file, f"is {kind}, expected a file: take it away, or put the file in its place")
    return True


def refuse_broken_link(file: Path) -> None:
    """See that a name that leads to no file is one that is not there.

    Raises:
        CheckpointError: it is a link, or below one.
    """
    deepest = next((place for place in (file, *file.parents) if os.path.lexists(place)), None)
    if deepest is not None and not os.path.exists(deepest):  # noqa: PTH110 (the other raises on some links)
        raise CheckpointError(
            deepest,
            "is a symbolic link that leads nowhere or to itself: fetch anew what it stands for (a cache of "
            "the hub may have lost it), or take the link away",
        )


def read_small_file(file: Path) -> bytes:
    """Read a file.

    Raises:
        CheckpointError: it is missing, unreadable, larger than MAX_SMALL_FILE_BYTES, or a Git LFS pointer.
    """
    if not is_there(file):
        raise CheckpointError(file, "no such file")
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= MAX_SMALL_FILE_BYTES else b""
    except OSError as exc:
        raise CheckpointError(file, f"cannot be read: {exc.strerror}") from exc
    if size > MAX_SMALL_FILE_BYTES:
        raise CheckpointError(file, f"{size} bytes, expected at most {MAX_SMALL_FILE_BYTES}")
    refuse_lfs_pointer(file, content)
    return content


def read_text_file(file: Path) -> str:
    r"""Read a text in UTF-8, with `\n` at the end of every line, whatever stands there.

    Raises:
        CheckpointError: as `read_small_file`, or it is no UTF-8.
    """
    try:
        text = read_small_file(file).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CheckpointError(file, f"not readable as UTF-8 text: {exc}") from exc
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuse_lfs_pointer(file: Path, start: bytes | memoryview) -> None:
    """See that a file's first bytes are not those of a Git LFS pointer.

    Raises:
        CheckpointError: they are.
    """
    if bytes(start[: len(_LFS_POINTER)]) == _LFS_POINTER:
        raise CheckpointError(
            file,
            "is a Git LFS pointer, which stands for a file that was not fetched: run `git lfs pull` in the "
            "clone, or export by the model's id on the hub",
        )
