"""The machine that a report was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

# What int8 matrix multiplication is fast or slow by.
_TELLING_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
_RECORDED_PACKAGES: Final = ("bertriton", "onnxruntime", "tokenizers", "tritonclient", "numpy")
_BYTES_PER_GIB: Final = 2**30


@dataclass(frozen=True)
class Machine:
    """What the figures of a report depend on."""

    processor: str
    cores: int  # that this process may use
    cpu_flags: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]  # name -> version

    def __str__(self) -> str:
        flags = ", ".join(self.cpu_flags) or "no flags known"
        return (
            f"{self.processor}, {self.cores} cores ({flags}), {self.memory_gib:.0f} GiB of memory, "
            f"{self.system}, Python {self.python}"
        )


def this_machine() -> Machine:
    """Describe the machine that runs this."""
    fields = _cpu_fields()
    flags = fields.get("flags", "").split()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        processor=fields.get("model name", platform.processor() or platform.machine()),
        cores=len(os.sched_getaffinity(0)),
        cpu_flags=tuple(flag for flag in _TELLING_FLAGS if flag in flags),
        memory_gib=pages / _BYTES_PER_GIB,
        system=f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        python=platform.python_version(),
        packages={name: version for name in _RECORDED_PACKAGES if (version := _version(name))},
    )


def _cpu_fields() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; nothing where there is no such file."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
