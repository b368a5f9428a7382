"""The files by which workers and keeper find each other; locks on them end with the process that has them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bertriton_spark.errors import LocalServerError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Layout:
    """The folder of one server."""

    folder: Path

    @property
    def leases(self) -> Path:
        """Locked together by all who use the server, and alone by the keeper that ends it."""
        return self.folder / "leases"

    @property
    def starting(self) -> Path:
        """Locked by the one process that looks whether the server is there, and starts it."""
        return self.folder / "starting"

    @property
    def keeping(self) -> Path:
        """Locked by the keeper while it runs."""
        return self.folder / "keeping"

    @property
    def address(self) -> Path:
        """Holds `host:port` of a server that is ready."""
        return self.folder / "address"

    @property
    def log(self) -> Path:
        """What the keeper last said."""
        return self.folder / "log"

    @property
    def repository(self) -> Path:
        """Where a checkpoint is exported to."""
        return self.folder / "repository"


def layout_of(source: str, name: str, precision: str | None) -> Layout:
    """The folder of the server of a model, made if need be, which no other user can write to.

    Raises:
        LocalServerError: it belongs to somebody else.
    """
    base = Path(tempfile.gettempdir()) / f"bertriton-spark-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    state = base.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise LocalServerError(
            f"{base}: expected a folder that only user {os.getuid()} can write to: "
            "remove it, or set TMPDIR to another folder"
        )
    key = hashlib.sha256(f"{source}\0{name}\0{precision}".encode()).hexdigest()[:16]
    folder = base / key
    folder.mkdir(mode=0o700, exist_ok=True)
    return Layout(folder)


def shared_lock(path: Path) -> IO[bytes]:
    """A lock that others may have too, until the file is closed; waits for one who has it alone."""
    file = path.open("ab")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """A lock that nobody else has; waits for it."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(path: Path) -> IO[bytes] | None:
    """The same without waiting, until the file is closed; None where somebody has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
