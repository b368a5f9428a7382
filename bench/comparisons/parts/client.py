"""What the client costs: `classify` against tritonclient's `infer`, and `AsyncClient` against perf_analyzer.

All send one short text per request. Calls of the two blocking clients alternate, so that both see the same
server.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput

from bertriton import AsyncClient, Client, contract
from bertriton_bench.measurement import Target, measure
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import NAME
from comparisons.contenders import MAX_LENGTH
from comparisons.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_bench.perf_analyzer import PerfAnalyzer

TEXT = "A warm, funny and wonderful film."
WARM_UP_CALLS = 50
OUTPUTS = (contract.PROBABILITIES, contract.LOGITS, contract.TOKEN_COUNT, contract.TRUNCATED)


@dataclass(frozen=True)
class ClientPlan:
    """How much is sent."""

    calls: int = 1000  # of each blocking client
    texts: int = 10_000  # by AsyncClient, and by perf_analyzer
    in_flight: int = 64  # of those


def client_figures(repository: Path, plan: ClientPlan, analyzer: PerfAnalyzer) -> list[Figure]:
    """Both comparisons, with the classifier of a repository served for their time."""
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server:
        return [overhead(server.grpc_url, plan), throughput(server.grpc_url, plan, analyzer)]


def overhead(url: str, plan: ClientPlan) -> Figure:
    """Median time of one text through either blocking client, and their difference."""
    ours_s, raw_s = [], []
    with Client(url, NAME) as client, InferenceServerClient(url) as triton:
        for call in range(WARM_UP_CALLS + plan.calls):
            classify_s = _seconds(lambda: client.classify(TEXT))
            infer_s = _seconds(lambda: _infer(triton))
            if call >= WARM_UP_CALLS:
                ours_s.append(classify_s)
                raw_s.append(infer_s)
    ours_us, raw_us = statistics.median(ours_s) * 1e6, statistics.median(raw_s) * 1e6
    return Figure(
        "MiniLM: p50 of Client.classify above tritonclient's infer",
        ours_us - raw_us,
        "us",
        detail=f"classify {ours_us:.0f} us; tritonclient's infer {raw_us:.0f} us",
    )


def throughput(url: str, plan: ClientPlan, analyzer: PerfAnalyzer) -> Figure:
    """Texts per second of `AsyncClient` by those of perf_analyzer, which is written in C++."""
    target = Target(url, NAME, MAX_LENGTH, analyzer)
    load = measure(target, "one short text", [TEXT], concurrency=plan.in_flight, requests=plan.texts)
    rate = plan.texts / asyncio.run(_classify_concurrently(url, plan))
    return Figure(
        f"MiniLM: AsyncClient against perf_analyzer, one short text, {plan.in_flight} in flight",
        rate / load.texts_per_s,
        "x",
        detail=f"{rate:,.0f} texts/s (AsyncClient); {load.texts_per_s:,.0f} texts/s (perf_analyzer)",
    )


async def _classify_concurrently(url: str, plan: ClientPlan) -> float:
    async with AsyncClient(url, NAME) as client:
        await client.classify(TEXT)
        left = iter(range(plan.texts))

        async def worker() -> None:
            for _ in left:
                await client.classify(TEXT)

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(plan.in_flight)))
        return time.perf_counter() - started


def _infer(triton: InferenceServerClient) -> None:
    text = InferInput(contract.TEXT, [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[TEXT.encode()]], np.object_))
    answer = triton.infer(NAME, [text], outputs=[InferRequestedOutput(name) for name in OUTPUTS])
    for name in OUTPUTS:
        answer.as_numpy(name)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
