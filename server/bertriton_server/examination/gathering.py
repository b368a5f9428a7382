"""Everything that a bug report needs, gathered."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from bertriton_server.cpu_fit import misfits
from bertriton_server.examination import concerns, findings
from bertriton_server.machine import Machine, this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_server.examination.concerns import Concern
    from bertriton_server.examination.findings import Limits, Port, RuntimeFound

# What has to do with answers; of all the others `pip freeze` tells.
_PACKAGES: Final = (
    *("bertriton", "tritonclient", "grpcio", "protobuf", "numpy", "click", "rich"),
    *(
        "onnx",
        "onnxruntime",
        "tokenizers",
        "safetensors",
        "scipy",
        "h5py",
        "huggingface-hub",
        "google-crc32c",
    ),
    *("pyarrow", "matplotlib", "scikit-learn", "starlette", "uvicorn", "opentelemetry-api"),
)


@dataclass(frozen=True)
class Place:
    """What a server would serve, and where."""

    host: str
    ports: Mapping[str, int]  # by service
    model_repository: Path


@dataclass(frozen=True)
class Examination:
    """What is here, and what would go badly."""

    packages: dict[str, str]  # name -> version; empty: not installed
    machine: Machine
    limits: Limits
    gpus: tuple[str, ...]
    runtime: RuntimeFound
    ports: tuple[Port, ...]
    settings: dict[str, str]  # variables of the environment, without secrets
    concerns: tuple[Concern, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return {"python": platform.python_version(), "interpreter": sys.executable, **asdict(self)}


def examine(place: Place) -> Examination:
    """Look at everything; starts, installs and changes nothing.

    Example:
        >>> from pathlib import Path
        >>> examine(Place("127.0.0.1", {"gRPC": 8001}, Path("model_repository"))).packages["bertriton"]
        '0.2.0'
    """
    machine, limits, gpus = this_machine(), findings.limits(), findings.gpus()
    runtime, ports = findings.runtime_found(), findings.ports(place.host, place.ports)
    found = (
        *concerns.of_runtime(runtime, ports),
        *concerns.of_resources(machine, limits),
        *concerns.of_networks(misfits(place.model_repository)),
        *concerns.of_safety(place.host, place.model_repository),
        *concerns.of_speed(machine, limits, gpus if runtime.kind != "installed" else ()),
    )
    return Examination(_versions(), machine, limits, gpus, runtime, ports, findings.settings(), found)


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
