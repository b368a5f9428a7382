"""Where tritonserver comes from: an installed one, or else the pip runtime."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import RuntimeNotFoundError
from bertriton_server.runtime.pip_runtime import PipRuntime, find_or_make_pip_runtime, find_pip_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

TRITONSERVER_VARIABLE: Final = "BERTRITON_TRITONSERVER"
INSTALLED_TRITONSERVER: Final = Path("/opt/tritonserver/bin/tritonserver")

# ONNX Runtime's wheels since 1.32 tell their maker how they are used unless this is set.
NO_TELEMETRY_VARIABLE: Final = "ORT_DISABLE_TELEMETRY"

# Tells the tokenizer that the network runs large requests in pieces, which Triton's own backend does not.
CUTS_REQUESTS_VARIABLE: Final = "BERTRITON_CUTS_REQUESTS"

# Would let the user's packages, numpy 2 among them, in before those of the runtime.
_ISOLATED_VARIABLES: Final = ("PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True)
class Runtime:
    """All that starting tritonserver takes."""

    executable: Path  # the tritonserver program
    python_backend_files: tuple[Path, ...] = ()  # none: its backends are installed with it
    library_path: tuple[Path, ...] = ()  # goes first in LD_LIBRARY_PATH
    executable_path: tuple[Path, ...] = ()  # goes first in PATH

    @property
    def is_pip_made(self) -> bool:
        """Whether this is the pip runtime, which needs a backend directory laid out for it."""
        return bool(self.python_backend_files)

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The server's environment, made from the parent's."""
        environment = dict(inherited)
        if not self.is_pip_made:
            return environment
        for name in _ISOLATED_VARIABLES:
            environment.pop(name, None)
        _prepend(environment, "LD_LIBRARY_PATH", self.library_path)
        _prepend(environment, "PATH", self.executable_path)
        environment.setdefault(NO_TELEMETRY_VARIABLE, "1")
        environment[CUTS_REQUESTS_VARIABLE] = "1"
        return environment


def find_runtime() -> Runtime:
    """The tritonserver to use; makes the pip runtime when there is none installed.

    Looked for in this order: the file that BERTRITON_TRITONSERVER names, `tritonserver` on PATH,
    INSTALLED_TRITONSERVER, the pip runtime under BERTRITON_RUNTIME_DIR (default: ~/.cache/bertriton).

    Raises:
        RuntimeNotFoundError: BERTRITON_TRITONSERVER names no executable file, or no runtime can be made here.
        RuntimeInstallError: making the pip runtime failed.
    """
    installed = _find_installed()
    return Runtime(installed) if installed else _from_pip_runtime(find_or_make_pip_runtime())


def find_made_runtime() -> tuple[Path | None, PipRuntime | None]:
    """The tritonserver that is installed, else the pip runtime that is there; nothing is made.

    Raises:
        RuntimeNotFoundError: BERTRITON_TRITONSERVER names no executable file, or there is no place for one.
    """
    installed = _find_installed()
    return installed, None if installed else find_pip_runtime()


def _find_installed() -> Path | None:
    if named := os.environ.get(TRITONSERVER_VARIABLE):
        if not shutil.which(named):
            raise RuntimeNotFoundError(f"{TRITONSERVER_VARIABLE}={named} is not an executable file")
        return Path(named)
    found = shutil.which("tritonserver") or shutil.which(INSTALLED_TRITONSERVER)
    return Path(found) if found else None


def _from_pip_runtime(runtime: PipRuntime) -> Runtime:
    triton = runtime.site_packages / "pytriton" / "tritonserver"
    return Runtime(
        executable=triton / "bin" / "tritonserver",
        python_backend_files=(
            *sorted(path for path in (triton / "backends" / "python").iterdir() if path.is_file()),
            triton / "python_backend_stubs" / runtime.python_minor / "triton_python_backend_stub",
        ),
        library_path=(runtime.site_packages / "nvidia_pytriton.libs", runtime.library_directory),
        executable_path=(runtime.python_bin,),
    )


def _prepend(environment: dict[str, str], name: str, folders: tuple[Path, ...]) -> None:
    inherited = environment.get(name)
    environment[name] = os.pathsep.join([*map(str, folders), *([inherited] if inherited else [])])
