"""Make a root folder the whole of what a command sees; runs inside new namespaces, see `namespaces.py`.

python enter_root.py '{"root": ..., "mounts": [[kind or source, target, options], ...], ...}' COMMAND...
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

DEVICES: Final = ("full", "null", "random", "urandom", "zero")
_SIOCSIFFLAGS: Final = 0x8914  # linux/sockios.h
_IFF_UP: Final = 1  # linux/if.h


def main(settings: dict[str, Any], command: list[str]) -> None:
    """Mount, go in, become the command."""
    root = Path(settings["root"])
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    if settings["read_only"]:
        mount("-o", "remount,bind,ro", root)
    mount("-t", "proc", "proc", root / "proc")
    mount_devices(root / "dev", settings["shm_bytes"])
    for target, options in settings["tmpfs"].items():
        mount("-t", "tmpfs", "-o", options, "tmpfs", root / target.lstrip("/"))
    for source, target in settings["volumes"].items():
        mount("--bind", source, root / target.lstrip("/"))
    if not settings["network"]:
        raise_loopback()
    os.chroot(root)
    os.chdir(settings["workdir"])
    os.execve(command[0], command, settings["environment"])  # noqa: S606 - the test's own


def mount(*arguments: str | Path) -> None:
    """Mount, or fail."""
    subprocess.run(["mount", *arguments], check=True)


def mount_devices(folder: Path, shm_bytes: int) -> None:
    """The devices of a container, and its shared memory."""
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for name in DEVICES:
        (folder / name).touch()
        mount("--bind", f"/dev/{name}", folder / name)
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (folder / name).symlink_to(f"/proc/self/{target}")
    (folder / "shm").mkdir()
    # Engines do not let shared memory be executed.
    mount("-t", "tmpfs", "-o", f"size={shm_bytes},mode=1777,noexec,nosuid,nodev", "shm", folder / "shm")


def raise_loopback() -> None:
    """A new network namespace has a loopback device that is down, and no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
