"""A container of an image: its entry point in a sandbox, under the limits that the Compose file sets."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from namespaces import Process, Sandbox, as_user

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from image_build import Image

READY_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.5
_TMPFS_DEFAULTS: Final = "noexec,nosuid,nodev"  # a container engine's
_GIB: Final = 1 << 30


class Container(Process):
    """Started when it is made; `kill` it in the end.

    Args:
        image: what it runs.
        service: of the Compose file, for its limits.
        store: folder of this machine to be the image's volume; handed over to the image's user.
        arguments: what follows the image in `docker run`.
        environment: what is set besides the image's own.
        mounts: further folders, by target.
    """

    def __init__(
        self,
        image: Image,
        service: dict[str, Any],
        store: Path,
        *,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        mounts: dict[str, Path] | None = None,
    ) -> None:
        self._image = image
        uid, gid = map(int, image.user.split(":"))
        store.mkdir(exist_ok=True)
        os.chown(store, uid, gid)
        (volume,) = image.volumes
        folders = {volume: store, **(mounts or {})}
        for target in folders:
            (image.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        sandbox = Sandbox(
            image.root,
            {"HOME": "/home/bertriton", **image.environment, **(environment or {})},
            workdir=image.workdir,
            read_only=service["read_only"],
            shm_bytes=int(service["shm_size"].removesuffix("gb")) * _GIB,
            tmpfs=dict(map(_tmpfs, service["tmpfs"])),
            volumes={str(folder): target for target, folder in folders.items()},
        )
        command = as_user(image.user, [*image.entrypoint, *arguments])
        super().__init__(sandbox, command, store.with_suffix(".log"))

    @property
    def output(self) -> str:
        """What `docker logs` would show."""
        return self.log.read_text(errors="replace")

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker exec`, as the image's user."""
        return self.run(as_user(self._image.user, command))

    def check_health(self) -> subprocess.CompletedProcess[str]:
        """The image's own health check, once."""
        return self.execute(*self._image.healthcheck)

    def wait_until_healthy(self) -> None:
        """As long as loading may take."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.check_health().returncode:
            assert not self.has_ended, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(_POLL_S)

    def wait(self, timeout_s: float = READY_TIMEOUT_S) -> int:
        """Until it ends by itself; gives its exit status."""
        return self._parent.wait(timeout_s)


def _tmpfs(entry: str) -> tuple[str, str]:
    target, _, options = entry.partition(":")
    return target, ",".join(filter(None, [_TMPFS_DEFAULTS, options]))
