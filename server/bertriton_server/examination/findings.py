"""What is found here: GPUs, limits of the container, the runtime, and who listens where."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import ServerError
from bertriton_server.process import HttpEndpoint, is_free
from bertriton_server.runtime import find_interpreter, find_made_runtime, runtime_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

_NVIDIA_SMI: Final = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
TAKEN_BY_TRITON: Final = "taken by a Triton"
_PROGRAM_TIMEOUT_S: Final = 10.0
_LOOK_TIMEOUT_S: Final = 1.0
_CGROUP: Final = Path("/sys/fs/cgroup")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where Triton's processes meet
_BYTES_PER_MIB: Final = 2**20
_BYTES_PER_GIB: Final = 2**30


@dataclass(frozen=True)
class Limits:
    """What this process may use; None: no limit, or none that can be found."""

    cpus: float | None  # of the container's quota
    memory_gib: float | None  # likewise
    open_files: int | None  # each connection is one
    shared_memory_mib: float | None  # free under /dev/shm


@dataclass(frozen=True)
class RuntimeFound:
    """The tritonserver that `serve` would use."""

    kind: str  # installed, from pip, to be installed, or none
    place: str  # the program, or the folder that it is or would be in
    detail: str = ""  # Python that it runs on, or why there is none


@dataclass(frozen=True)
class Port:
    """A port that a server would listen on."""

    service: str
    port: int
    state: str  # free, or who listens there


def gpus() -> tuple[str, ...]:
    """The GPUs of this machine, as nvidia-smi tells them: name, memory and driver."""
    if not shutil.which(_NVIDIA_SMI[0]):
        return ()
    try:
        done = subprocess.run(  # noqa: S603 - NVIDIA's own program
            _NVIDIA_SMI, capture_output=True, text=True, check=True, timeout=_PROGRAM_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return (f"nvidia-smi fails: {str(exc).splitlines()[0]}",)
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def limits() -> Limits:
    """What this process may use."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    quota, _, period = _first_line(_CGROUP / "cpu.max").partition(" ")
    memory = _first_line(_CGROUP / "memory.max")
    return Limits(
        cpus=int(quota) / int(period) if quota.isdigit() and period.isdigit() else None,
        memory_gib=int(memory) / _BYTES_PER_GIB if memory.isdigit() else None,
        open_files=None if files == resource.RLIM_INFINITY else files,
        shared_memory_mib=(
            shutil.disk_usage(_SHARED_MEMORY).free / _BYTES_PER_MIB if _SHARED_MEMORY.is_dir() else None
        ),
    )


def runtime_found() -> RuntimeFound:
    """The tritonserver that `serve` would use; nothing is installed."""
    try:
        installed, made = find_made_runtime()
        if installed:
            return RuntimeFound("installed", str(installed))
        if made:
            return RuntimeFound("from pip", str(made.folder), f"Python {made.python_minor}")
        interpreter = find_interpreter()
        return RuntimeFound("to be installed", str(runtime_directory()), f"Python {interpreter.minor}")
    except ServerError as exc:
        return RuntimeFound("none", "", exc.summary)


def ports(host: str, service_to_port: Mapping[str, int]) -> tuple[Port, ...]:
    """Whether a server could listen on each port, and what listens there if not."""
    return tuple(Port(service, port, _state(host, port)) for service, port in service_to_port.items())


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that commands read; of those that are secrets, only that they are set."""
    return {
        name: "(set)" if _is_secret(name) else value
        for name, value in sorted(environment.items())
        if name.startswith("BERTRITON_")
    }


def _is_secret(name: str) -> bool:
    return name.endswith(("_KEY", "_TOKEN", "_HEADER"))


def _state(host: str, port: int) -> str:
    if port == 0 or is_free(host, port):
        return "free"
    if HttpEndpoint(host, port).ask("GET", "/v2/health/live", timeout_s=_LOOK_TIMEOUT_S).is_ok:
        return TAKEN_BY_TRITON
    return "taken"


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return ""
