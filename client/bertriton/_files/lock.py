"""One command at a time for one output."""

from __future__ import annotations

import fcntl
import os
from typing import IO, TYPE_CHECKING, Final

from bertriton._files.errors import JobError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME: Final = "lock"


class FolderLock:
    """A folder that one process has to itself; the system frees it when that ends, however it does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the folder is taken by this object."""
        return self._file is not None

    def acquire(self) -> None:
        """Make the folder and take it.

        Raises:
            JobError: another command has it.
            OSError: the folder cannot be made or locked.
        """
        while True:
            self._folder.mkdir(exist_ok=True)
            try:
                file = (self._folder / LOCK_NAME).open("ab")
            except FileNotFoundError:
                continue  # a command that just finished removed the folder
            if self._is_taken(file):
                self._file = file
                return
            file.close()

    def release(self) -> None:
        """Give the folder back, if it was taken."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_taken(self, file: IO[bytes]) -> bool:
        """Lock the file; False if it is no longer the folder's."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise JobError(
                f"another command is writing there now: it holds {self._folder / LOCK_NAME}"
            ) from None
        try:
            return os.path.samestat(os.fstat(file.fileno()), (self._folder / LOCK_NAME).stat())
        except FileNotFoundError:
            return False
