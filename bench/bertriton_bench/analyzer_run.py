"""Run perf_analyzer to its end, and once more where it hangs.

About one in 200 short runs never ends: perf_analyzer 2.50 goes on waiting when the server has answered every
request. So its end is not all that is looked at, but also whether the server still answers.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bertriton_bench.errors import MeasurementError
from bertriton_server.runtime import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_bench.perf_analyzer import PerfAnalyzer

ATTEMPTS: Final = 3
STALL_S: Final = 60.0  # without an answer; longer than the slowest server takes for what is in flight
_LOOK_S: Final = 5.0  # between two looks

_OUTPUT_TAIL_LINES: Final = 3
_USAGE: Final = "Usage:"


class _StalledError(Exception):
    """Nothing happens any more."""


def run_analyzer(
    analyzer: PerfAnalyzer, *arguments: str, folder: Path, count_answers: Callable[[], int]
) -> None:
    """Run perf_analyzer in a folder.

    Args:
        analyzer: that is run.
        arguments: its own.
        folder: that it works in.
        count_answers: how many requests the server has answered in its life.

    Raises:
        MeasurementError: it failed, with the last lines that it printed, or hung every time.
    """
    for _ in range(ATTEMPTS):
        try:
            code, output = _outcome(analyzer, *arguments, folder=folder, count_answers=count_answers)
        except _StalledError:
            continue
        if code:
            raise MeasurementError(f"perf_analyzer exited with {code}", _last_words(output))
        return
    raise MeasurementError(f"perf_analyzer hung {ATTEMPTS} times: no answer for {STALL_S:g} s")


def _outcome(
    analyzer: PerfAnalyzer, *arguments: str, folder: Path, count_answers: Callable[[], int]
) -> tuple[int, str]:
    """Exit code and output of one run."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the perf_analyzer that was found
            [analyzer.executable.absolute(), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=analyzer.environment(os.environ),
            errors="replace",
            text=True,
        )
    except OSError as exc:
        raise MeasurementError(f"cannot start {analyzer.executable}: {exc}") from exc
    with process:
        try:
            return _wait(process, count_answers)
        finally:
            process.kill()  # does nothing to one that has ended


def _wait(process: subprocess.Popen[str], count_answers: Callable[[], int]) -> tuple[int, str]:
    answers, waited_s = -1, 0.0
    while waited_s < STALL_S:
        with suppress(subprocess.TimeoutExpired):
            output, _ = process.communicate(timeout=_LOOK_S)
            return process.returncode, output
        before, answers = answers, count_answers()
        waited_s = waited_s + _LOOK_S if answers == before else 0.0
    raise _StalledError


def _last_words(output: str) -> list[str]:
    # After an error in its arguments it prints pages of usage.
    return [line.strip() for line in last_lines(output.partition(_USAGE)[0], _OUTPUT_TAIL_LINES)]
