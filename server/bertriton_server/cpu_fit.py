"""Whether this machine's CPU has what the networks of a repository were exported for.

The exporter once made graphs for CPUs with VNNI, and said so in their configs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a CPU must have one of, as Linux lists it; any other feature goes by its own name.
FEATURE_TO_FLAGS: Final = {"vnni": frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})}
_FEATURE: Final = re.compile(r'key:\s*"cpu_feature"\s*value:?\s*\{\s*string_value:\s*"([^"]*)"')


@dataclass(frozen=True)
class Misfit:
    """A network that was exported for CPUs with something that this one lacks."""

    network: str  # name of the model in the repository
    feature: str  # as `vnni`

    @property
    def what(self) -> str:
        """What is wrong, without what to do."""
        return f"{self.network} was exported for CPUs with {self.feature}, and this one has none"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            "export it again, for graphs of today are right on every CPU: as it is, the Triton from pip "
            "answers the same, but slower, and Triton's own ONNX Runtime backend is wrong"
        )

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


def misfits(model_repository: Path, cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[Misfit]:
    """Each network that was exported for another kind of CPU.

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
        if match and not flags & FEATURE_TO_FLAGS.get(match[1], frozenset({match[1]})):
            yield Misfit(config.parent.name, match[1])
