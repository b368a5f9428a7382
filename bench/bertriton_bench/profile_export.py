"""What perf_analyzer leaves behind: one JSON file of requests, one CSV file per step of the ensemble."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bertriton import contract
from bertriton_bench.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NANOSECONDS_PER_S: Final = 1e9
_MICROSECONDS_PER_MS: Final = 1e3

_QUEUE_COLUMN: Final = "Server Queue"  # microseconds a request, on average
_COMPUTE_COLUMNS: Final = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")


@dataclass(frozen=True)
class Request:
    """One request as the load generator saw it."""

    sent_s: float
    answered_s: float
    token_count: int  # as the server counted it, before truncation
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class StepTime:
    """Where one model of the ensemble spends a request's time, on average."""

    model: str
    queue_ms: float
    compute_ms: float


def read_requests(file: Path) -> list[Request]:
    """The requests of a profile export, in the order in which they were answered.

    Raises:
        MeasurementError: the file is missing, or not what perf_analyzer writes for a classifier.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        (experiment,) = document["experiments"]
        requests = [_request(entry) for entry in experiment["requests"]]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as exc:
        raise MeasurementError(f"{file.name} is not a profile export of a classifier: {exc!r}") from exc
    return sorted(requests, key=lambda request: request.answered_s)


def _request(entry: dict[str, Any]) -> Request:
    outputs = entry["response_outputs"][-1]
    return Request(
        sent_s=entry["timestamp"] / NANOSECONDS_PER_S,
        answered_s=entry["response_timestamps"][-1] / NANOSECONDS_PER_S,
        token_count=int(outputs[contract.TOKEN_COUNT]),
        probabilities=tuple(outputs[contract.PROBABILITIES]),
    )


def read_steps(report: Path, model: str) -> tuple[StepTime, ...]:
    """Queue and compute of each step, from the CSV files beside the report, tokenizer first.

    Raises:
        MeasurementError: a file is missing or not what perf_analyzer writes.
    """
    suffixes = (contract.TOKENIZER_SUFFIX, contract.BERT_SUFFIX)
    return tuple(_step(report, model + suffix) for suffix in suffixes)


def _step(report: Path, model: str) -> StepTime:
    files = sorted(report.parent.glob(f"{model}_v*.{report.name}"))
    if not files:
        raise MeasurementError(f"perf_analyzer wrote no CSV file for the step {model}")
    with files[-1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        (row,) = rows
        queue_us = float(row[_QUEUE_COLUMN])
        compute_us = sum(float(row[column]) for column in _COMPUTE_COLUMNS)
    except (ValueError, KeyError, TypeError) as exc:
        raise MeasurementError(f"{files[-1].name} is not a report of perf_analyzer: {exc!r}") from exc
    return StepTime(model, queue_us / _MICROSECONDS_PER_MS, compute_us / _MICROSECONDS_PER_MS)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]
