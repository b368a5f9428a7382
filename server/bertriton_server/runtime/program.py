"""A program run to its end, and the last of what it said."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """What is left of a program that has ended."""

    exit_code: int
    output: str  # on stdout and stderr, as it came; what is no UTF-8 is replaced


def run_program(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Ended:
    """Run a program and wait for its end.

    Args:
        command: the program and its arguments.
        environment: its own; default: this process's.
        timeout_s: after so long it is killed; default: never.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it was killed.
    """
    done = subprocess.run(  # noqa: S603 - the caller's own command line
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env=environment,
        errors="replace",
        text=True,
        timeout=timeout_s,
    )
    return Ended(done.returncode, done.stdout)


def last_lines(output: str, count: int) -> list[str]:
    """The last lines of an output that say something, at most so many."""
    return [line.rstrip() for line in output.splitlines() if line.strip()][-count:]
