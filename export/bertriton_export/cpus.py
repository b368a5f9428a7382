"""This machine's CPUs: how many there are to use."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
