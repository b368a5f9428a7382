"""What processes have computed, which depends little on what else the machine does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def cpu_s(root: int, without: int = 0) -> float:
    """Seconds of CPU that a process and its descendants have used, less those of one of them and its own."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended; its parent has its time
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(map(int, fields[11:15]))
    return sum(used[pid] for pid in used if _descends(pid, root, without, parents)) / _TICKS_PER_S


def _descends(pid: int, root: int, without: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid not in (root, without):
        pid = parents[pid]
    return pid == root
