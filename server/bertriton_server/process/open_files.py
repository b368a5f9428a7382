"""How many files a server may have open: every connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

from bertriton_server.errors import StartError

# tritonserver has 66 open while nobody is connected, and needs some more to load models.
MIN_OPEN_FILES: Final = 256


def require_open_files() -> int:
    """The number of files that a server may open: all that the system lets this process have.

    Raises:
        StartError: that is less than MIN_OPEN_FILES.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MIN_OPEN_FILES:
        raise StartError(
            f"only {hard} files may be open here, and every connection is one: tritonserver needs "
            f"{MIN_OPEN_FILES}; raise the limit, see `ulimit -Hn` or the container's --ulimit nofile"
        )
    return hard


def allow_open_files(pid: int) -> None:
    """Lift a new server's soft limit to the hard one, whatever this process has for itself."""
    hard = require_open_files()
    with suppress(ProcessLookupError):  # it has ended already, and will be found so
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
