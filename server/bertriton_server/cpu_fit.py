"""Whether this machine's CPU has what the networks of a repository were exported for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a CPU must have one of, as Linux lists it; any other feature goes by its own name.
_FEATURE_TO_FLAGS: Final = {"vnni": frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})}
_FEATURE: Final = re.compile(r'key:\s*"cpu_feature"\s*value:?\s*\{\s*string_value:\s*"([^"]*)"')


def misfits(model_repository: Path, cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[str]:
    """A line for each network that was exported for another kind of CPU, with what to do about it.

    A CPU that does not tell what it has, as none but x86 does on Linux, has none of it.

    Example:
        >>> list(misfits(Path("model_repository")))
        []
    """
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    for config in sorted(model_repository.glob("*/config.pbtxt")):
        match = _FEATURE.search(config.read_text(encoding="utf-8", errors="replace"))
        if match and not flags & _FEATURE_TO_FLAGS.get(match[1], frozenset({match[1]})):
            yield (
                f"{config.parent.name} was exported for CPUs with {match[1]}, and this one has none: the "
                "Triton from pip answers the same, but slower; Triton's own ONNX Runtime backend is wrong. "
                f"Export it on this machine, or with --no-{match[1]}"
            )
