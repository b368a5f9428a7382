"""When a server counts as ill, and how often it is started anew: every number in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# A server that cannot be started so many times in a row will not be by trying again.
MAX_FAILED_RESTARTS: Final = 5


@dataclass(frozen=True)
class Rules:
    """When a server counts as ill, and how often it is started anew.

    A process of it that has ended, or that somebody has stopped, is told by the system. One that hangs is
    told by classifiers that answer nobody: a tiny inference has no answer in time, and meanwhile no other
    request has one. As long as the processes compute, a server that does not answer has much more time: it
    may be at work on something large.
    """

    look_interval_s: float = 0.5  # between two looks at the processes
    broken_for_s: float = 1.0  # a process that has ended or was stopped is broken after so long
    probe_interval_s: float = 1.0  # between two rounds of tiny inferences
    probe_deadline_s: float = 2.0  # for the answer to one
    unanswered_probes: int = 2  # so many in a row, and a server that does not compute is ill
    busy_patience_s: float = 60.0  # how long one that computes may leave everybody without an answer
    busy_cores: float = 0.05  # from so many cores' worth of computing on it counts as at work
    backoff_s: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)  # before each restart in a row; then the last
    well_after_s: float = 10.0  # one that was well for so long begins a new row
    max_failed_restarts: int = MAX_FAILED_RESTARTS  # in a row, then it is given up; 0: never start anew
