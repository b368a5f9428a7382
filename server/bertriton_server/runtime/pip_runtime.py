"""The pip runtime: a virtual environment of its own that holds tritonserver and what its models import.

Of its own, because tritonserver's Python stub dies on the first BYTES tensor under numpy 2, which other
packages of the user's environment need. Made on first use, once per set of pins and Python version.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import RuntimeInstallError, RuntimeNotFoundError
from bertriton_server.runtime.interpreter import (
    SUPPORTED_MINORS,
    Interpreter,
    find_interpreter,
    running_minor,
)
from bertriton_server.runtime.program import last_lines, run_program
from bertriton_server.runtime.spinner import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUNTIME_DIRECTORY_VARIABLE: Final = "BERTRITON_RUNTIME_DIR"
CACHE_VARIABLE: Final = "XDG_CACHE_HOME"

# All are installed without their dependencies: of nvidia-pytriton only the binaries are used, and the others
# need nothing but numpy for what a model does. So these four are all that ever comes in.
PYTRITON_PIN: Final = "nvidia-pytriton==0.7.0"
NUMPY_PIN: Final = "numpy==1.26.4"
TOKENIZERS_PIN: Final = "tokenizers==0.23.3"
PYTHON_MINOR_TO_ONNXRUNTIME_PIN: Final = {
    "3.10": "onnxruntime==1.23.2",  # the last one with wheels for it
    "3.11": "onnxruntime==1.32.0",
    "3.12": "onnxruntime==1.32.0",
}

_COMPLETE_MARKER: Final = "complete.json"  # written last: a runtime without it was interrupted
_PIP_OPTIONS: Final = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check")
_HASH_DIGITS: Final = 10
_LOG_TAIL_LINES: Final = 8


@dataclass(frozen=True)
class PipRuntime:
    """A complete pip runtime on disk."""

    folder: Path
    python_minor: str
    library_directory: Path  # of the interpreter it was built on

    @property
    def python_bin(self) -> Path:
        """Where the `python3` lies that the stubs are to run."""
        return self.folder / "bin"

    @property
    def site_packages(self) -> Path:
        """Where the pinned packages lie."""
        return self.folder / "lib" / f"python{self.python_minor}" / "site-packages"


def pins_for(python_minor: str) -> tuple[str, ...]:
    """The requirements of a runtime on that Python."""
    return (PYTRITON_PIN, NUMPY_PIN, TOKENIZERS_PIN, PYTHON_MINOR_TO_ONNXRUNTIME_PIN[python_minor])


def find_or_make_pip_runtime() -> PipRuntime:
    """The pip runtime, made now if it is not there yet.

    Raises:
        RuntimeNotFoundError: this machine has no Python that it could be built on.
        RuntimeInstallError: making it failed.
    """
    minor = running_minor()
    if minor in SUPPORTED_MINORS and (runtime := _read_complete(_folder_for(minor), minor)):
        return runtime
    if sys.platform != "linux":
        raise RuntimeNotFoundError(
            f"tritonserver's wheel is for Linux, not for {sys.platform}: use the container"
        )
    interpreter = find_interpreter()
    folder = _folder_for(interpreter.minor)
    with _locked(folder):
        # Another first use may have finished it while this one waited for the lock.
        return _read_complete(folder, interpreter.minor) or _make(folder, interpreter)


def find_pip_runtime() -> PipRuntime | None:
    """A pip runtime that is there already, of the running Python first."""
    minors = sorted(SUPPORTED_MINORS, key=lambda minor: minor != running_minor())
    return next(filter(None, (_read_complete(_folder_for(minor), minor) for minor in minors)), None)


def runtime_directory() -> Path:
    """Where installed programs lie: BERTRITON_RUNTIME_DIR, by default `bertriton` in the user's cache.

    Raises:
        RuntimeNotFoundError: no variable says where, and the user has no home.
    """
    if chosen := os.environ.get(RUNTIME_DIRECTORY_VARIABLE):
        return Path(chosen).absolute()
    if cache := os.environ.get(CACHE_VARIABLE):
        return Path(cache) / "bertriton"
    try:
        return Path.home() / ".cache" / "bertriton"
    except RuntimeError as exc:  # no HOME, and a user id that no account has, as OpenShift gives them
        raise RuntimeNotFoundError(
            "there is no place for programs: this user has no home directory; set "
            f"{RUNTIME_DIRECTORY_VARIABLE} or {CACHE_VARIABLE} to a folder that can be written to"
        ) from exc


def _folder_for(python_minor: str) -> Path:
    content = "\n".join((python_minor, *pins_for(python_minor)))
    digest = hashlib.sha256(content.encode()).hexdigest()[:_HASH_DIGITS]
    return runtime_directory() / f"runtime-{digest}"


def _read_complete(folder: Path, python_minor: str) -> PipRuntime | None:
    try:
        marker = json.loads((folder / _COMPLETE_MARKER).read_text())
    except (OSError, ValueError):
        return None
    # A link into a Python that has been removed since makes the runtime as good as missing.
    if not (folder / "bin" / "python3").exists():
        return None
    return PipRuntime(folder, python_minor, Path(marker["library_directory"]))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as exc:
        raise RuntimeInstallError(
            f"cannot write to {folder.parent}: {exc}; set {RUNTIME_DIRECTORY_VARIABLE} to another folder"
        ) from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, interpreter: Interpreter) -> PipRuntime:
    pins = pins_for(interpreter.minor)
    make_environment = [str(interpreter.executable), "-I", "-m", "venv", str(folder)]
    install = [str(folder / "bin" / "python3"), "-I", "-m", "pip", "install", *_PIP_OPTIONS, *pins]
    shutil.rmtree(folder, ignore_errors=True)
    with progress(f"Making the Triton runtime in {folder} (once)"):
        _run(make_environment, "create a virtual environment")
    with progress(f"Installing {', '.join(pins)}"):
        _run(install, "install the Triton runtime")
    marker = {"library_directory": str(interpreter.library_directory), "pins": pins}
    (folder / _COMPLETE_MARKER).write_text(json.dumps(marker, indent=2) + "\n")
    return PipRuntime(folder, interpreter.minor, interpreter.library_directory)


def _run(command: Sequence[str], purpose: str) -> None:
    try:
        ended = run_program(command)
    except OSError as exc:
        raise RuntimeInstallError(f"cannot {purpose}: {exc}") from exc
    if ended.exit_code:
        tail = last_lines(ended.output, _LOG_TAIL_LINES)
        raise RuntimeInstallError(f"cannot {purpose}: {command[0]} exited with {ended.exit_code}", tail)
