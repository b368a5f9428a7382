"""A process leases the host's server until it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Final

from pyspark import SparkFiles

from bertriton_spark.errors import LocalServerError
from bertriton_spark.local.layout import Layout, layout_of, lock, shared_lock, try_lock

if TYPE_CHECKING:
    from pathlib import Path

_KEEPER: Final = "bertriton_spark.local.keeper"
_POLL_S: Final = 0.1
# Held until this process ends: the system gives them back, even when it is killed.
_leases: Final[dict[tuple[int, Path], IO[bytes]]] = {}
_keepers: Final[list[subprocess.Popen[bytes]]] = []  # those that this process has started, which outlive it


def local_url(source: str, name: str, precision: str | None = None) -> str:
    """The address of this host's server for a model, which is started if need be, and leased for good.

    Args:
        source: a model repository, a checkpoint, a file given to `SparkContext.addFile`, or a hub id.
        name: of the classifier.
        precision: that a checkpoint is exported in; None is the exporter's own choice.

    Raises:
        LocalServerError: it did not start.
    """
    source = _found(source)
    layout = layout_of(source, name, precision)
    key = (os.getpid(), layout.folder)
    if key not in _leases:
        # First of all, so that a keeper that is about to end either sees it or has ended.
        _leases[key] = shared_lock(layout.leases)
    with lock(layout.starting):
        if not _is_kept(layout):
            _start(layout, source, name, precision)
        return layout.address.read_text(encoding="ascii")


def _found(source: str) -> str:
    """A path that does not depend on where a process runs; what is none is left as it is."""
    if os.path.exists(source):  # noqa: PTH110  # a hub id is no path
        return os.path.realpath(source)
    try:
        shipped = SparkFiles.get(source)
    except (AssertionError, AttributeError, RuntimeError):  # outside of Spark there are none
        return source
    return shipped if os.path.exists(shipped) else source  # noqa: PTH110


def _is_kept(layout: Layout) -> bool:
    free = try_lock(layout.keeping)
    if free is None:
        return layout.address.exists()
    free.close()
    layout.address.unlink(missing_ok=True)  # of a keeper that was killed
    return False


def _start(layout: Layout, source: str, name: str, precision: str | None) -> None:
    """Start the keeper and wait until its server is ready, or it has ended."""
    # It finds what this process finds, which may come from files that Spark has sent.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with layout.log.open("wb") as log:
        keeper = subprocess.Popen(  # noqa: S603  # this very Python
            [sys.executable, "-m", _KEEPER, str(layout.folder), source, name, precision or ""],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it outlives a worker that is killed with its group
        )
    _keepers.append(keeper)
    while not layout.address.exists():
        if keeper.poll() is not None:
            raise LocalServerError(f"no server for {source} on this host: {_last_line(layout)}")
        time.sleep(_POLL_S)


def _last_line(layout: Layout) -> str:
    lines = layout.log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "its keeper ended without a word")
