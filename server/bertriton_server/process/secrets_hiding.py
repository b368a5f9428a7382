"""Taking secrets off a process's command line, which every user of the machine may read.

tritonserver takes keys as flags alone. Once it has read them, what /proc and `ps` show is overwritten.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK: Final = b"x"
# Fields of /proc/PID/stat behind the command's name, see proc_pid_stat(5).
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46


def hide(pid: int, secrets: Iterable[str]) -> bool:
    """Overwrite secrets in a process's arguments; tell whether none is to be seen there now.

    A system that lets no process write into its child's memory (Yama's ptrace_scope 2 and 3) leaves them.
    """
    wanted = [secret.encode() for secret in secrets if secret]
    with suppress(OSError, ValueError, IndexError):
        _overwrite(pid, wanted)
    return not any(secret in _arguments(pid) for secret in wanted)


def _overwrite(pid: int, secrets: Iterable[bytes]) -> None:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = stat.rpartition(")")[2].split()
    start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        arguments = memory.read(end - start)
        for secret in secrets:
            arguments = arguments.replace(b"=" + secret + b"\0", b"=" + _MASK * len(secret) + b"\0")
        memory.seek(start)
        memory.write(arguments)


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
