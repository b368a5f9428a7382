"""The cores that this process may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "quota period" in microseconds, or "max period"


def usable_cores() -> int:
    """Physical cores of this process, at most what its container may use; at least 1."""
    return max(1, min(physical_cores(os.sched_getaffinity(0)), container_limit()))


def physical_cores(cpus: set[int]) -> int:
    """Cores behind CPUs: two that share one count once, as ONNX Runtime counts them."""
    return len({siblings(cpu) for cpu in cpus})


def siblings(cpu: int) -> str:
    """The CPUs on the core of one, as Linux lists them; the CPU alone where that is not known."""
    path = CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    return path.read_text().strip() if path.exists() else str(cpu)


def container_limit() -> int:
    """Cores that the cgroup's quota allows, rounded up; without one as many as there are."""
    quota, period = CGROUP_LIMIT.read_text().split() if CGROUP_LIMIT.exists() else ("max", "1")
    return os.cpu_count() or 1 if quota == "max" else math.ceil(int(quota) / int(period))
