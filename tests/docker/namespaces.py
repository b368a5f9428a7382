"""Processes in a root folder and namespaces of their own, as a container engine starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_SHM_BYTES: Final = 64 << 20  # a container engine's
_LAUNCHER: Final = Path(__file__).with_name("enter_root.py")
_START_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class Sandbox:
    """What a process is to see."""

    root: Path
    environment: dict[str, str]
    workdir: str = "/"
    network: bool = False  # of the machine; without it loopback alone
    read_only: bool = False
    shm_bytes: int = DEFAULT_SHM_BYTES
    tmpfs: dict[str, str] = field(default_factory=dict)  # target to mount options
    volumes: dict[str, str] = field(default_factory=dict)  # folder of this machine to target

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command, given by its whole path, as process 1 in here."""
        namespaces = ["--mount", "--pid", "--ipc", "--uts", *([] if self.network else ["--net"])]
        settings = json.dumps(asdict(self), default=str)
        return [
            *("unshare", *namespaces, "--fork", "--kill-child=SIGKILL", "--"),
            *(sys.executable, "-I", str(_LAUNCHER), settings, *command),
        ]


def as_user(user: str, command: Sequence[str]) -> list[str]:
    """A command under `uid:gid`, as `cap_drop: [ALL]` and `no-new-privileges` have it."""
    uid, _, gid = user.partition(":")
    ids = ["--reuid", uid, "--regid", gid or uid, "--clear-groups"]
    return ["/usr/bin/setpriv", *ids, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", *command]


class Process:
    """A command that runs as process 1 of a sandbox.

    Args:
        sandbox: what it sees.
        command: by its whole path.
        log: where its output goes.
    """

    def __init__(self, sandbox: Sandbox, command: Sequence[str], log: Path) -> None:
        self.sandbox = sandbox
        self.log = log
        with log.open("wb") as output:
            self._parent = subprocess.Popen(
                sandbox.command(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Of process 1, as the machine counts."""
        children = Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children")
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (found := children.read_text().split()):
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(_POLL_S)
        return int(found[0])

    @property
    def has_ended(self) -> bool:
        """Whether process 1 is gone."""
        return self._parent.poll() is not None

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Another command in the same sandbox, as `docker exec`; as root, unless `as_user` made it."""
        inside = [
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--net",
            "--root",
            "--wdns=/",
        ]
        variables = [f"{name}={value}" for name, value in self.sandbox.environment.items()]
        whole = [*inside, "/usr/bin/env", "-i", *variables, *command]
        return subprocess.run(whole, capture_output=True, text=True, check=False, **options)

    def beside(self, command: Sequence[str]) -> list[str]:
        """The command line of a program of this machine that shares nothing but the sandbox's network."""
        return ["nsenter", f"--target={self.pid}", "--net", *command]

    def stop(self, timeout_s: float) -> int:
        """SIGTERM to process 1, as `docker stop`; gives the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self._parent.wait(timeout_s)

    def kill(self) -> None:
        """End it and all that it started."""
        with suppress(AssertionError, FileNotFoundError, ProcessLookupError):
            if not self.has_ended:
                os.kill(self.pid, signal.SIGKILL)
        self._parent.wait()
