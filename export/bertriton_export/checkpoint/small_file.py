"""Files of a checkpoint that are read whole: everything but weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SMALL_FILE_BYTES: Final = (
    2**26
)  # the largest tokenizers are of about 20 MB; read, it takes twenty times as much
# What Git leaves in place of a large file that it did not fetch (git-lfs, docs/spec.md).
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"


def read_small_file(file: Path) -> bytes:
    """Read a file.

    Raises:
        CheckpointError: it is missing, unreadable, larger than MAX_SMALL_FILE_BYTES, or a Git LFS pointer.
    """
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= MAX_SMALL_FILE_BYTES else b""
    except FileNotFoundError:
        raise CheckpointError(file, "no such file") from None
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
