"""What the client costs: `classify` against tritonclient's `infer`, and texts per second of `AsyncClient`.

    python bench/comparisons/client_overhead.py [--url host:port] [--calls N] [--texts N] [--concurrency N]

Without --url the repository's models are served for the time of the run. Calls of both clients alternate, so
that both see the same server. With perf_analyzer on the PATH the same text goes through it as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput

from bertriton import AsyncClient, Client, contract
from bertriton_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TEXT = "A warm, funny and wonderful film."
WARM_UP_CALLS = 50
OUTPUTS = (contract.PROBABILITIES, contract.LOGITS, contract.TOKEN_COUNT, contract.TRUNCATED)
PERF_ANALYZER_RESULT = re.compile(r"Throughput: ([\d.]+) infer/sec")


def main() -> None:
    """Measure and print."""
    options = _options()
    with ExitStack() as stack:
        url = options.url or stack.enter_context(LocalServer(ROOT / "model_repository")).grpc_url
        with Client(url) as client:
            model = client.info.name
        print(json.dumps(overhead(url, model, options.calls)))
        print(json.dumps(throughput(url, model, options.texts, options.concurrency)))


def overhead(url: str, model: str, calls: int) -> dict[str, float]:
    """Median microseconds of one text through either client, and their difference."""
    ours_s, raw_s = [], []
    with Client(url, model) as client, InferenceServerClient(url) as triton:
        for call in range(WARM_UP_CALLS + calls):
            classify_s = _seconds(lambda: client.classify(TEXT))
            infer_s = _seconds(lambda: _infer(triton, model))
            if call >= WARM_UP_CALLS:
                ours_s.append(classify_s)
                raw_s.append(infer_s)
    ours_us, raw_us = statistics.median(ours_s) * 1e6, statistics.median(raw_s) * 1e6
    return {"classify_us": ours_us, "infer_us": raw_us, "overhead_us": ours_us - raw_us}


def throughput(url: str, model: str, texts: int, concurrency: int) -> dict[str, float | None]:
    """Texts per second of `AsyncClient` with one text per request, and of perf_analyzer if it is there."""
    seconds = asyncio.run(_classify_concurrently(url, model, texts, concurrency))
    return {
        "async_client_texts_per_s": texts / seconds,
        "perf_analyzer_per_s": _perf(url, model, concurrency),
    }


async def _classify_concurrently(url: str, model: str, texts: int, concurrency: int) -> float:
    async with AsyncClient(url, model) as client:
        await client.classify(TEXT)
        left = iter(range(texts))

        async def worker() -> None:
            for _ in left:
                await client.classify(TEXT)

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return time.perf_counter() - started


def _infer(triton: InferenceServerClient, model: str) -> None:
    text = InferInput(contract.TEXT, [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[TEXT.encode()]], np.object_))
    answer = triton.infer(model, [text], outputs=[InferRequestedOutput(name) for name in OUTPUTS])
    for name in OUTPUTS:
        answer.as_numpy(name)


def _perf(url: str, model: str, concurrency: int) -> float | None:
    analyzer = shutil.which("perf_analyzer")
    if analyzer is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
        json.dump({"data": [{contract.TEXT: {"content": [TEXT], "shape": [1]}}]}, data)
        data.flush()
        command = [analyzer, "-m", model, "-u", url, "-i", "grpc", "--input-data", data.name]
        command += ["--concurrency-range", str(concurrency), "--shape", f"{contract.TEXT}:1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found = PERF_ANALYZER_RESULT.search(done.stdout)
    return float(found.group(1)) if found else None


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a server that runs already")
    parser.add_argument("--calls", type=int, default=2000, help="calls of each client, one after the other")
    parser.add_argument("--texts", type=int, default=10_000, help="texts for the throughput")
    parser.add_argument("--concurrency", type=int, default=64, help="requests under way at once")
    return parser.parse_args()


if __name__ == "__main__":
    main()
