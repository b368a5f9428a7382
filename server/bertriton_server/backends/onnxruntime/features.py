"""What this CPU can do, as far as networks depend on it."""

from __future__ import annotations

import re
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# What a CPU must have one of; any other feature goes by its own name.
FEATURE_TO_FLAGS = {"vnni": {"avx512_vnni", "avx_vnni", "amx_int8"}}
VNNI = "vnni"


def cpu_flags() -> set[str]:
    """The features of an x86 CPU as Linux lists them; none elsewhere."""
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def has(feature: str) -> bool:
    """Whether this CPU is known to have a feature."""
    return bool(cpu_flags() & FEATURE_TO_FLAGS.get(feature, {feature}))
