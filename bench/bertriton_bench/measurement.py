"""One measurement: perf_analyzer drives a served classifier with real texts, so many requests in flight."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tritonclient.utils import InferenceServerException

from bertriton import contract
from bertriton_bench.access import Access
from bertriton_bench.analyzer_run import run_analyzer
from bertriton_bench.errors import MeasurementError
from bertriton_bench.profile_export import Request, StepTime, percentile, read_requests, read_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_bench.perf_analyzer import PerfAnalyzer

MIN_REQUESTS_PER_SLOT: Final = 4  # of those in flight; fewer leave nothing between ramp and tail
STATISTICS_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Target:
    """What is measured, and with what."""

    url: str  # host:port of Triton's gRPC endpoint
    model: str
    max_length: int  # tokens read of one text
    analyzer: PerfAnalyzer
    access: Access = field(default_factory=Access)


@dataclass(frozen=True)
class Measurement:
    """The result of one run, for the time in which all slots were busy."""

    texts: str  # name of the set of texts
    concurrency: int  # requests in flight, one text each
    requests: int  # in the whole run
    seconds: float  # of the measured time, without ramp-up and tail
    texts_per_s: float  # texts answered per second
    tokens_per_s: float  # as read by the network: after truncation, without padding
    p50_ms: float  # median time of a request
    p95_ms: float  # time within which 95 % of the requests were answered
    p99_ms: float  # the same for 99 %
    steps: tuple[StepTime, ...]  # of the tokenizer and of the network

    @property
    def tokenizer_share(self) -> float:
        """The tokenizer's compute time divided by a request's median time, from 0 to about 1.

        It is not divided by the steps' compute times, since in the pip-only server the network's ends when a
        core has taken the request.
        """
        return self.steps[0].compute_ms / self.p50_ms if self.p50_ms else 0.0


def measure(
    target: Target, name: str, texts: Sequence[str], *, concurrency: int, requests: int
) -> Measurement:
    """Send the texts over and over, one per request, until `requests` are answered.

    Args:
        target: the classifier to measure.
        name: of the set of texts, for the report.
        texts: sent in this order, again and again.
        concurrency: requests in flight.
        requests: how many to send, at least MIN_REQUESTS_PER_SLOT per slot.

    Raises:
        MeasurementError: perf_analyzer failed; the message ends with its last lines.
    """
    requests = max(requests, MIN_REQUESTS_PER_SLOT * concurrency)
    with tempfile.TemporaryDirectory(prefix="bertriton-bench-") as workspace:
        profile, report = Path(workspace) / "profile.json", Path(workspace) / "report.csv"
        data = Path(workspace) / "texts.json"
        data.write_text(json.dumps(input_data(texts)), encoding="utf-8")
        run_analyzer(
            target.analyzer,
            *("-m", target.model, "-u", target.url, "-i", "grpc", *target.access.analyzer_arguments()),
            *("--input-data", data.name, "--shape", f"{contract.TEXT}:1"),
            *("--concurrency-range", str(concurrency), "--request-count", str(requests)),
            # A bare name: the steps' files get their models' names in front of it.
            *("-f", report.name, "--profile-export-file", profile.name),
            folder=Path(workspace),
            count_answers=partial(_count_answers, target),
        )
        steps = read_steps(report, target.model)
        return summarise(name, concurrency, read_requests(profile), steps, target.max_length)


def requests_for(seconds: float, texts_per_s: float, concurrency: int) -> int:
    """How many requests keep a server busy for so long."""
    return max(math.ceil(seconds * texts_per_s), MIN_REQUESTS_PER_SLOT * concurrency)


def input_data(texts: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    """Texts as perf_analyzer reads them, one per request."""
    return {"data": [{contract.TEXT: {"content": [text], "shape": [1]}} for text in texts]}


def summarise(
    name: str, concurrency: int, requests: Sequence[Request], steps: tuple[StepTime, ...], max_length: int
) -> Measurement:
    """Rates and percentiles of the time in which every slot was busy.

    That begins when each slot has had its first answer, and ends when the last request is sent: before and
    after, the server has less to do. perf_analyzer's own figure includes both and the wait for its next look.

    Args:
        name: of the set of texts.
        concurrency: requests in flight.
        requests: in the order in which they were answered.
        steps: queue and compute of the ensemble's steps.
        max_length: tokens that the network reads of one text.

    Raises:
        MeasurementError: there are too few requests.
    """
    if len(requests) < 2 * concurrency + 1:
        raise MeasurementError(f"{len(requests)} answers are too few to measure {concurrency} in flight")
    begin_s, end_s = requests[concurrency - 1].answered_s, max(request.sent_s for request in requests)
    answered = [request for request in requests[concurrency:] if request.answered_s <= end_s]
    seconds = end_s - begin_s
    if not answered or seconds <= 0:
        raise MeasurementError(f"{len(requests)} answers are too few to measure {concurrency} in flight")
    tokens = sum(min(request.token_count, max_length) for request in answered)
    latencies_ms = [(request.answered_s - request.sent_s) * 1e3 for request in answered]
    return Measurement(
        texts=name,
        concurrency=concurrency,
        requests=len(requests),
        seconds=seconds,
        texts_per_s=len(answered) / seconds,
        tokens_per_s=tokens / seconds,
        p50_ms=percentile(latencies_ms, 50),
        p95_ms=percentile(latencies_ms, 95),
        p99_ms=percentile(latencies_ms, 99),
        steps=steps,
    )


def _count_answers(target: Target) -> int:
    try:
        with target.access.triton(target.url) as triton:
            found = triton.get_inference_statistics(
                target.model, headers=target.access.metadata, client_timeout=STATISTICS_TIMEOUT_S
            )
    except InferenceServerException as exc:
        raise MeasurementError(f"{target.url} no longer says what it has answered: {exc}") from exc
    return sum(version.inference_count for version in found.model_stats)
