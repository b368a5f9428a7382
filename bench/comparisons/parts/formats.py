"""Time and memory of an export to fp32 from each format.

Each export runs in a process of its own; memory is the largest resident set, pages of mapped files included.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comparisons.checkpoints import BERT_BASE, FORMATS, Shape, write_formats
from comparisons.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The kernel's own high-water mark of the process; wait4's would count what this one held when it forked.
EXPORT = """
import re, sys
from pathlib import Path
from bertriton_export import export

export(sys.argv[1], name="benchmark", repository=sys.argv[2], precision="fp32")
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
# At BERT-base's shape: what the exporter itself takes is many times the weights of a small network.
ALLOWED_SECONDS = 20.0
ALLOWED_TIMES_WEIGHTS = 3.0
BYTES_PER_MB = 10**6
BYTES_PER_RSS_UNIT = 1024  # what Linux calls kB
FORMATS_HEADER = ("format", "seconds", "memory MB", "times the weights")


@dataclass(frozen=True)
class FormatCost:
    """What the export from one format took."""

    format: str
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class FormatCosts:
    """What the export from every format took, of the same weights."""

    shape: Shape
    weights_megabytes: float
    costs: tuple[FormatCost, ...]

    @property
    def figures(self) -> list[Figure]:
        """The slowest and the largest, beside what they may be."""
        slowest = max(self.costs, key=lambda cost: cost.seconds)
        largest = max(self.costs, key=lambda cost: cost.megabytes)
        export = f"Export of {self.shape} to fp32"
        is_judged = self.shape == BERT_BASE
        sizes = f"{largest.megabytes:,.0f} MB; weights {self.weights_megabytes:,.0f} MB"
        return [
            Figure(
                f"{export}, the slowest of {len(self.costs)} formats",
                slowest.seconds,
                "s",
                ALLOWED_SECONDS if is_judged else None,
                is_upper_limit=True,
                detail=slowest.format,
            ),
            Figure(
                f"{export}, memory of the largest of {len(self.costs)} formats",
                self._times_weights(largest),
                "x the weights",
                ALLOWED_TIMES_WEIGHTS if is_judged else None,
                is_upper_limit=True,
                detail=f"{largest.format}: {sizes}",
            ),
        ]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row a format under FORMATS_HEADER."""
        return [
            (cost.format, f"{cost.seconds:.1f}", f"{cost.megabytes:,.0f}", f"{self._times_weights(cost):.1f}")
            for cost in self.costs
        ]

    def _times_weights(self, cost: FormatCost) -> float:
        return cost.megabytes / self.weights_megabytes


def format_costs(folder: Path, shape: Shape, tell: Callable[[str], object]) -> FormatCosts:
    """Write a checkpoint of random weights in every format, and export each.

    Args:
        folder: that is filled, at BERT-base's shape with three gigabytes.
        shape: of the network.
        tell: called with a line about each format.
    """
    size = write_formats(folder, shape)
    costs = []
    for name in FORMATS:
        tell(f"export from {name}")
        costs.append(_cost(folder / name, folder / "repository"))
    return FormatCosts(shape, size / BYTES_PER_MB, tuple(costs))


def _cost(checkpoint: Path, repository: Path) -> FormatCost:
    command = [sys.executable, "-c", EXPORT, str(checkpoint), str(repository)]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (its own command)
    seconds = time.monotonic() - started
    return FormatCost(checkpoint.name, seconds, int(done.stdout) * BYTES_PER_RSS_UNIT / BYTES_PER_MB)
