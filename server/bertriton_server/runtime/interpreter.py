"""Which Python the pip runtime can be built on.

tritonserver's Python stub is linked against a shared libpython, and was built before numpy 2: so the runtime
needs a Python that numpy 1.26 has wheels for, built with a shared library, and with `venv` and pip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import RuntimeNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order in which they are tried when the running one will not do.
SUPPORTED_MINORS: Final = ("3.12", "3.11", "3.10")

_PROBE_TIMEOUT_S: Final = 30

_PROBE: Final = """
import ctypes, json, platform, sys, sysconfig
libdir = sysconfig.get_config_var("LIBDIR") or ""
library = "libpython%d.%d.so.1.0" % sys.version_info[:2]
problem = ""
for path in (libdir + "/" + library, library):
    try:
        ctypes.CDLL(path)
        break
    except OSError as exc:
        problem = "no shared library: %s" % exc
else:
    libdir = ""
try:
    import ensurepip, venv
except ImportError as exc:
    libdir, problem = "", "no venv: %s" % exc
print(json.dumps({"minor": "%d.%d" % sys.version_info[:2], "library_directory": libdir, "problem": problem}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that the runtime can be built on."""

    executable: Path
    minor: str  # one of SUPPORTED_MINORS
    library_directory: Path  # where its libpython lies


def running_minor() -> str:
    """Version of the running Python, such as 3.12."""
    return "{}.{}".format(*sys.version_info)


def find_interpreter() -> Interpreter:
    """The first interpreter that will do: the running one, else by version from PATH.

    Raises:
        RuntimeNotFoundError: there is none; the message says what was tried and what to install.
    """
    rejected = []
    for executable in _candidates():
        found = _probe(executable)
        if isinstance(found, Interpreter):
            return found
        rejected.append(f"{executable} ({found})")
    raise RuntimeNotFoundError(
        f"tritonserver's Python backend {_lack()}needs Python {' or '.join(SUPPORTED_MINORS)} on PATH, "
        "with venv and a shared libpython (Debian: python3-venv and libpython3-dev), or use the container; "
        f"tried {', '.join(rejected)}"
    )


def _lack() -> str:
    """Why the running Python will not do, where that is its version."""
    if running_minor() in SUPPORTED_MINORS:
        return ""
    return f"works with numpy 1.26 alone, which has no wheels for Python {running_minor()}: it "


def _candidates() -> Iterator[Path]:
    if sys.executable:
        yield Path(sys.executable)
    for minor in SUPPORTED_MINORS:
        for folder in os.get_exec_path():
            candidate = Path(folder) / f"python{minor}"
            if os.access(candidate, os.X_OK):
                yield candidate


def _probe(executable: Path) -> Interpreter | str:
    # Run, not only found: a version manager's shim is on PATH for versions that are not switched on.
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter from PATH and our own script
            [executable, "-I", "-c", _PROBE],
            capture_output=True,
            check=True,
            timeout=_PROBE_TIMEOUT_S,
            text=True,
        )
        found = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return "does not run"
    if found["minor"] not in SUPPORTED_MINORS:
        return f"Python {found['minor']}"
    if not found["library_directory"]:
        return str(found["problem"])
    return Interpreter(executable, found["minor"], Path(found["library_directory"]))
