"""What can go wrong in a benchmark.

BenchError
├── TextFileError           the file of texts cannot be read, or has too few texts
├── ServerUnusableError     the server cannot be reached, or does not serve the model
├── PerfAnalyzerMissingError   no perf_analyzer works here, and none could be installed
├── MeasurementError        perf_analyzer failed, or its output cannot be read
└── ReportError             the report cannot be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class BenchError(Exception):
    """The base class of all errors of this package."""


class TextFileError(BenchError):
    """The file of texts cannot be read, or has too few texts."""


class ServerUnusableError(BenchError):
    """The server cannot be reached, or does not serve the model."""


class PerfAnalyzerMissingError(BenchError):
    """No perf_analyzer works here, and none could be installed."""


class MeasurementError(BenchError):
    """perf_analyzer failed, or its output cannot be read.

    Attributes:
        output_tail: the last lines that perf_analyzer printed.
    """

    def __init__(self, problem: str, output_tail: Sequence[str] = ()) -> None:
        told = f": {' | '.join(output_tail)}" if output_tail else ""
        super().__init__(problem + told)
        self.output_tail = tuple(output_tail)


class ReportError(BenchError):
    """The report cannot be written."""
