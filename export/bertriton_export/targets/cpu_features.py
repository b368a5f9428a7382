"""What this machine's CPU has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# Of x86, as Linux lists them; other CPUs have none of these.
VNNI_FLAGS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU adds products of bytes in 32 bits; False where that cannot be told."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return bool(flags and VNNI_FLAGS & set(flags[1].split()))
