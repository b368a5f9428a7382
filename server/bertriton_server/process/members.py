"""The processes of a server: tritonserver, which leads their group, and the stubs that it has started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the command's name, see proc_pid_stat(5).
_STATE, _PARENT, _GROUP, _USER_TICKS, _SYSTEM_TICKS = 0, 1, 2, 11, 12


@dataclass(frozen=True)
class Member:
    """One process, as it is now."""

    pid: int
    name: str  # tritonserver, or the model whose stub it is; empty once it has ended
    is_child: bool  # of the group's leader
    has_ended: bool  # and its parent has not looked
    is_stopped: bool  # by SIGSTOP, say
    cpu_s: float  # computed so far


def members_of(group: int) -> list[Member]:
    """All processes of a group, those included that have ended and wait for their parent to look."""
    return [member for pid in _process_ids() if (member := _member(pid, group))]


def _process_ids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _member(pid: int, group: int) -> Member | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        if int(fields[_GROUP]) != group:
            return None
        words = (_PROC / str(pid) / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:  # gone between listing and reading
        return None
    state = fields[_STATE]
    return Member(
        pid,
        "tritonserver" if pid == group else _model_of_stub(words),
        is_child=int(fields[_PARENT]) == group,
        has_ended=state in "ZX",
        is_stopped=state == "T",
        cpu_s=(int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_S,
    )


def _model_of_stub(words: list[str]) -> str:
    """A stub's first argument is MODEL/VERSION/FILE in the repository."""
    return Path(words[1]).parent.parent.name if len(words) > 1 else ""
