"""A whole benchmark of one running server: every set of texts at every concurrency."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from bertriton import BertritonError, Client, contract
from bertriton_bench.access import Access
from bertriton_bench.errors import ServerUnusableError
from bertriton_bench.measurement import MIN_REQUESTS_PER_SLOT, Target, measure, requests_for
from bertriton_bench.perf_analyzer import find_perf_analyzer
from bertriton_bench.report import Report, SetSummary
from bertriton_bench.texts import SET_NAMES, make_sets
from bertriton_server.machine import this_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tritonclient.grpc import InferenceServerClient

    from bertriton_bench.measurement import Measurement
    from bertriton_bench.texts import TextSet

DEFAULT_URL: Final = "localhost:8001"
DEFAULT_CONCURRENCIES: Final = (1, 4, 16, 64)
DEFAULT_SECONDS: Final = 8.0
_WARM_UP_REQUESTS: Final = 16
_TIMEOUT_S: Final = 60.0  # for one request to the server


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    url: str = DEFAULT_URL  # host:port of Triton's gRPC endpoint
    model: str | None = None  # if None, the server's only classifier
    concurrencies: tuple[int, ...] = DEFAULT_CONCURRENCIES  # requests in flight
    sets: tuple[str, ...] = SET_NAMES  # names of the sets of texts to measure
    seconds: float = DEFAULT_SECONDS  # of each measurement, approximately
    access: Access = field(default_factory=Access)  # what the server requires: TLS, keys, headers


def run_plan(
    plan: Plan,
    texts: Sequence[str],
    *,
    on_stage: Callable[[str], object] = str,
    on_measurement: Callable[[Measurement], object] = repr,
) -> Report:
    """Benchmark a running server: each set of texts at each concurrency.

    Args:
        plan: what to measure.
        texts: real texts of any length, from which the sets are made.
        on_stage: called with a description of each step as it begins.
        on_measurement: called with each measurement as soon as it is done.

    Raises:
        ServerUnusableError: the server cannot be reached, or does not serve the model.
        PerfAnalyzerMissingError: no perf_analyzer works here, and none could be installed.
        MeasurementError: a measurement failed.
    """
    on_stage(f"asking {plan.url}")
    try:
        with Client(plan.url, plan.model, **plan.access.client_settings()) as client:
            info = client.info
        with plan.access.triton(plan.url) as triton:
            headers = plan.access.metadata
            server = triton.get_server_metadata(headers=headers, client_timeout=_TIMEOUT_S)
            on_stage("counting tokens")
            count_tokens = partial(_token_counts, triton, headers, info.name, info.max_batch_size)
            sets = make_sets(texts, plan.sets, count_tokens=count_tokens, max_length=info.max_length)
    except (BertritonError, InferenceServerException) as exc:
        raise ServerUnusableError(f"cannot measure {plan.url}: {exc}") from exc
    on_stage("looking for perf_analyzer")
    target = Target(plan.url, info.name, info.max_length, find_perf_analyzer(on_stage), plan.access)
    measurements = []
    for text_set in sets:
        for measurement in _sweep(target, text_set, plan, on_stage):
            on_measurement(measurement)
            measurements.append(measurement)
    return Report(
        model=info.name,
        server=f"{server.name} {server.version}",
        checkpoint_sha256=info.checkpoint_sha256,
        max_length=info.max_length,
        machine=this_machine(),
        sets=tuple(map(SetSummary.of, sets)),
        measurements=tuple(measurements),
    )


def _sweep(
    target: Target, text_set: TextSet, plan: Plan, on_stage: Callable[[str], object]
) -> Iterator[Measurement]:
    on_stage(f"{text_set.name}: warming up")
    first = plan.concurrencies[0]
    requests = max(_WARM_UP_REQUESTS, MIN_REQUESTS_PER_SLOT * first)
    rate = measure(target, text_set.name, text_set.texts, concurrency=first, requests=requests).texts_per_s
    for concurrency in plan.concurrencies:
        on_stage(f"{text_set.name}: {concurrency} in flight")
        requests = requests_for(plan.seconds, rate, concurrency)
        found = measure(target, text_set.name, text_set.texts, concurrency=concurrency, requests=requests)
        rate = found.texts_per_s
        yield found


def _token_counts(
    triton: InferenceServerClient, headers: dict[str, str], model: str, rows: int, texts: Sequence[str]
) -> list[int]:
    """Tokens of each text, from the tokenizer alone: the network need not read them for that."""
    counts: list[int] = []
    for start in range(0, len(texts), rows):
        part = [[text.encode()] for text in texts[start : start + rows]]
        tensor = InferInput(contract.TEXT, [len(part), 1], "BYTES")
        tensor.set_data_from_numpy(np.array(part, np.object_))
        answer = triton.infer(
            model + contract.TOKENIZER_SUFFIX,
            [tensor],
            outputs=[InferRequestedOutput(contract.TOKEN_COUNT)],
            headers=headers,
            client_timeout=_TIMEOUT_S,
        )
        counts += answer.as_numpy(contract.TOKEN_COUNT).ravel().tolist()
    return counts
