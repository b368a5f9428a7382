"""The folder `OUTPUT.partial`: which files in it are a job's own, and what reaches the disk before what."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bertriton._files.errors import JobError
from bertriton._files.lock import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DESCRIPTION_NAME: Final = "job.json"
WHOLE_NAME: Final = "whole"
PART_SUFFIX: Final = ".part"
RECORD_SUFFIX: Final = ".record"
UNFINISHED_SUFFIX: Final = ".unfinished"

_OWN_NAME: Final = re.compile(
    # `.failures` is of earlier versions, whose folders --overwrite may begin anew.
    rf"{LOCK_NAME}|{WHOLE_NAME}|job\.(json|unfinished)|\d{{12,}}-\d+\.(part|record|unfinished|failures)"
)
# Of file systems that cannot flush a folder, and of a folder that may be written but not read.
_CANNOT_FLUSH: Final = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


def require_own(folder: Path) -> None:
    """See that a folder is not there yet, or holds what jobs left in it and nothing else.

    Raises:
        JobError: it is a link or a file, or somebody else keeps something there.
        OSError: it cannot be read.
    """
    advice = "finished rows would be kept there meanwhile: move it away or choose another output"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise JobError(f"{folder} is {'a link' if folder.is_symlink() else 'a file'}, and {advice}")
    foreign = _foreign_name(folder)
    if foreign is not None:
        raise JobError(f"{folder} holds {foreign!r}, which is of no job, and {advice}")


def remove_own(folder: Path) -> None:
    """Remove a job's own files, but the lock, and nothing else."""
    for entry in _entries(folder):
        if entry.name != LOCK_NAME and _is_own(entry):
            os.unlink(entry.path)  # noqa: PTH108  # of os.scandir


def remove(folder: Path) -> None:
    """Remove a folder with a job's own files; what cannot be removed stays, and what is not its own."""
    with suppress(OSError):
        remove_own(folder)
        # Last: another command may take the folder as soon as its lock is gone.
        (folder / LOCK_NAME).unlink(missing_ok=True)
        folder.rmdir()


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk: power may fail at any time."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        if exc.errno not in _CANNOT_FLUSH:
            raise


def _foreign_name(folder: Path) -> str | None:
    """What is no job's; a job makes its lock, which is empty, before anything else."""
    entries = list(_entries(folder))
    foreign = next((entry.name for entry in entries if not _is_own(entry)), None)
    if foreign is None and entries and LOCK_NAME not in {entry.name for entry in entries}:
        return entries[0].name
    return foreign


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """In the order of their names; of a folder that is gone none."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return


def _is_own(entry: os.DirEntry[str]) -> bool:
    if not (_OWN_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)):
        return False
    try:
        return entry.name != LOCK_NAME or entry.stat().st_size == 0
    except FileNotFoundError:  # a command that just finished removed it
        return True
