"""What can go wrong while a server is measured.

BenchError
├── TextFileError           the file of texts cannot be read, or holds too little
├── ServerUnusableError     the server cannot be reached, or does not serve the model
├── PerfAnalyzerMissingError   there is no perf_analyzer that works, and none could be installed
├── MeasurementError        perf_analyzer ran and failed, or measured nothing that can be read
└── ReportError             the report cannot be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class BenchError(Exception):
    """Root of every error this package raises."""


class TextFileError(BenchError):
    """The file of texts cannot be read, or holds too little."""


class ServerUnusableError(BenchError):
    """The server cannot be reached, or does not serve the model."""


class PerfAnalyzerMissingError(BenchError):
    """There is no perf_analyzer that works here, and none could be installed."""


class MeasurementError(BenchError):
    """perf_analyzer ran and failed, or measured nothing that can be read.

    Attributes:
        output_tail: the last lines that it printed.
    """

    def __init__(self, problem: str, output_tail: Sequence[str] = ()) -> None:
        told = f": {' | '.join(output_tail)}" if output_tail else ""
        super().__init__(problem + told)
        self.output_tail = tuple(output_tail)


class ReportError(BenchError):
    """The report cannot be written."""
