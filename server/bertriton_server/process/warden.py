"""Removes what a server would leave behind; also runs as a process of its own that outlives a killed parent.

As a script it waits for the word DISMISSED on its standard input or for its parent to end, whichever is
first, and cleans up in the second case. Nothing but the standard library: it starts fast and anywhere.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DISMISSED: Final = "dismissed"
STOP_GRACE_S: Final = 30.0  # for requests in flight; tritonserver's own default

_KILL_GRACE_S: Final = 5.0
_POLL_S: Final = 0.05
_PARENT_POLL_S: Final = 1.0
_EXEC_GRACE_S: Final = 0.2
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


def stop_group(group: int, grace_s: float, is_in_vain: Callable[[], bool] = lambda: False) -> None:
    """Ask the server to end, then end all that is still there of its process group.

    Args:
        group: process id of the server, and of its group.
        grace_s: how long it may take over the requests in flight.
        is_in_vain: asked again and again meanwhile; ends the wait once nothing can come of it.
    """
    try:
        _send(os.kill, group, signal.SIGTERM)
        _wait_while(lambda: _is_living_member(group, group) and not is_in_vain(), grace_s)
    finally:
        # The stubs end with their server, but not at once when that was killed.
        _send(os.killpg, group, signal.SIGKILL)
        _wait_while(lambda: bool(_living_members(group)), _KILL_GRACE_S)


def reap_orphans(group: int) -> None:
    """Collect the stubs that a killed server left to this process, as it does to process 1 of a container.

    Args:
        group: the server's process group; the server itself has been waited for.
    """
    # A process of several threads looks ended before the last of them is.
    _wait_while(lambda: any(not _is_reaped(pid) for pid in _own_orphans(group)), _KILL_GRACE_S)


def remove_files(workspace: Path, shared_memory_prefix: str) -> None:
    """Remove a server's temporary directory and its shared memory segments."""
    shutil.rmtree(workspace, ignore_errors=True)
    for segment in _SHARED_MEMORY.glob(f"{shared_memory_prefix}*"):
        segment.unlink(missing_ok=True)


def _living_members(group: int) -> list[int]:
    return [pid for pid in _process_ids() if _is_living_member(pid, group)]


def _is_living_member(pid: int, group: int) -> bool:
    state, _parent, its_group = _status(pid)
    # Those that only wait to be reaped are not living.
    return its_group == group and state not in "ZX"


def _own_orphans(group: int) -> list[int]:
    family = (os.getpid(), group)
    return [pid for pid in _process_ids() if pid != group and _status(pid)[1:] == family]


def _is_reaped(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG) != (0, 0)


def _status(pid: int) -> tuple[str, int, int]:
    """State, parent and group of a process; X, dead, where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone between listing and reading
        return "X", 0, 0
    state, parent, group = stat.rpartition(")")[2].split()[:3]
    return state, int(parent), int(group)


def _groups_of(shared_memory_prefix: str) -> set[int]:
    """Process groups of all that has the prefix on its command line, this process excepted."""
    groups = set()
    for pid in _process_ids():
        with suppress(OSError):  # gone between listing and reading
            if shared_memory_prefix.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                groups.add(os.getpgid(pid))
    return groups - {os.getpgrp()}


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _send(kill: Callable[[int, int], None], target: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        kill(target, number)


def _wait_while(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _outlives(parent: int) -> bool:
    """Wait; tell whether the parent ended without a word."""
    # The end of the file alone would not do: what was forked from the parent holds its end of the pipe too.
    while os.getppid() == parent:
        if select.select([sys.stdin], [], [], _PARENT_POLL_S)[0]:
            return DISMISSED not in sys.stdin.readline()
    return True


def _main(parent: str, workspace: str, shared_memory_prefix: str) -> None:
    if not _outlives(int(parent)):
        return
    # A server forked a moment ago does not have its own command line yet.
    time.sleep(_EXEC_GRACE_S)
    for group in _groups_of(shared_memory_prefix):
        stop_group(group, STOP_GRACE_S)
    remove_files(Path(workspace), shared_memory_prefix)


if __name__ == "__main__":
    _main(*sys.argv[1:])
