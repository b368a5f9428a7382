"""How fast a served classifier is: NVIDIA's perf_analyzer sends real texts, and a report has the figures."""

from bertriton_bench.access import Access
from bertriton_bench.errors import (
    BenchError,
    MeasurementError,
    PerfAnalyzerMissingError,
    ReportError,
    ServerUnusableError,
    TextFileError,
)
from bertriton_bench.measurement import Measurement
from bertriton_bench.report import Report, write_json, write_markdown
from bertriton_bench.sweep import Plan, run_plan

__all__ = [
    "Access",
    "BenchError",
    "Measurement",
    "MeasurementError",
    "PerfAnalyzerMissingError",
    "Plan",
    "Report",
    "ReportError",
    "ServerUnusableError",
    "TextFileError",
    "run_plan",
    "write_json",
    "write_markdown",
]
