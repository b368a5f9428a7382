"""This machine's CPUs: how many there are to use, and whether they have VNNI."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

# Of x86, as Linux lists them; other CPUs have none of these.
VNNI_FLAGS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


CPU_INFO: Final = Path("/proc/cpuinfo")


def usable_cpus() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_vnni(cpuinfo: Path = CPU_INFO) -> bool:
    """Whether the CPU adds products of bytes in 32 bits; False where that cannot be told."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return bool(flags and VNNI_FLAGS & set(flags[1].split()))
