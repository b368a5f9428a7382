"""Send hostile requests to a real Triton, and hold the answers of innocent clients to what they were before.

    python -m tests.fuzz.requests --per-model 20000

Serves a small classifier, sends so many requests drawn by hostile.py to each of its three models, and asks
for the same texts from another process all the while. Exits 1 when one of those answers is another one, bit
for bit, or is missing, or when a hostile request gets no answer at all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from tests.fuzz.hostile import Hostile
from tritonclient.grpc import service_pb2_grpc

from bertriton import BertritonError, Client, contract
from bertriton._config import CANCEL_DELAY_S
from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

NAME = "fuzzed"
CHECKPOINT = Path(__file__).parent.parent / "data" / "checkpoints" / "three-labels"
SUFFIXES = ("", contract.TOKENIZER_SUFFIX, contract.BERT_SUFFIX)
DEFAULT_PER_MODEL = 20_000
SENDERS_PER_MODEL = 2
INNOCENTS = 3
REQUEST_TIMEOUT_S = 20.0
INNOCENT_TIMEOUT_S = 60.0

TEXTS = ["good film", "", "a dull film, and its end is worse " * 3, "naïve ☕"]
LONG = " ".join(f"word{index}" for index in range(300))
QUESTIONS: list[tuple[Any, dict[str, Any]]] = [
    *((text, {}) for text in TEXTS),
    (TEXTS, {}),
    (("one", "two"), {}),
    (LONG, {"truncation": "windows"}),
    ([LONG, *TEXTS], {"truncation": "windows", "aggregation": "max", "stride": 5}),
    (TEXTS * 16, {"max_length": 16}),
]


def answers(client: Client) -> list[Any]:
    """The answers to all questions."""
    return [client.classify(text, **options) for text, options in QUESTIONS]


def outcome(client: Client, text: Any, options: dict[str, Any], right: Any) -> str:
    """What became of one question."""
    try:
        return "right" if client.classify(text, **options) == right else "wrong"
    except BertritonError as error:
        return f"failed: {error}"


def ask_until(done: Event, url: str, report: Any) -> None:
    """Ask the same over and over, in a process of its own; reports what came, as a Counter."""
    found: Counter[str] = Counter()
    with Client(url, NAME, timeout=INNOCENT_TIMEOUT_S) as client:
        expected = answers(client)
        report.put("ready")

        def ask() -> None:
            rounds = itertools.cycle(zip(QUESTIONS, expected, strict=True))
            while not done.is_set():
                (text, options), right = next(rounds)
                found[outcome(client, text, options, right)] += 1

        run_side_by_side([ask] * INNOCENTS)
    report.put(found)


def send(url: str, suffix: str, seed: int, count: int, codes: Counter[str]) -> None:
    """Send hostile requests one after the other; some are cancelled, as late as our client does it.

    A call that is cancelled at once can end Triton 2.51, see SECURITY.md.
    """
    hostile = Hostile(NAME, seed)
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(count):
            is_cancelled = hostile.is_cancelled()
            call = stub.ModelInfer.future(hostile.request(suffix), timeout=REQUEST_TIMEOUT_S)
            if is_cancelled:
                time.sleep(CANCEL_DELAY_S)
                call.cancel()
            codes[code_of(call)] += 1


def code_of(call: Any) -> str:
    """How a call ended, waited for."""
    try:
        call.result()
    except grpc.RpcError as error:
        return str(error.code().name)
    except grpc.FutureCancelledError:
        return "CANCELLED"
    return "OK"


def run_side_by_side(functions: list[Any]) -> None:
    """Run each in a thread, and wait for all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fuzz(url: str, per_model: int, seed: int) -> dict[str, Any]:
    """What became of hostile requests and of innocent ones beside them."""
    context = multiprocessing.get_context("spawn")
    done, report = context.Event(), context.Queue()
    innocents = context.Process(target=ask_until, args=(done, url, report))
    innocents.start()
    report.get(timeout=INNOCENT_TIMEOUT_S)
    started_s = time.monotonic()
    suffix_to_codes: dict[str, Counter[str]] = {suffix: Counter() for suffix in SUFFIXES}
    shares = [per_model // SENDERS_PER_MODEL] * SENDERS_PER_MODEL
    shares[0] += per_model % SENDERS_PER_MODEL
    run_side_by_side(
        [
            lambda suffix=suffix, share=share, place=place: send(
                url, suffix, seed * len(SUFFIXES) * SENDERS_PER_MODEL + place, share, suffix_to_codes[suffix]
            )
            for place, (suffix, share) in enumerate((s, n) for s in SUFFIXES for n in shares)
        ]
    )
    done.set()
    # A question that was under way may take its whole time, and the process must end soon behind it.
    found = report.get(timeout=2 * INNOCENT_TIMEOUT_S)
    innocents.join()
    return {
        "seconds": round(time.monotonic() - started_s, 1),
        "innocent": dict(found),
        "hostile": {NAME + suffix: dict(codes) for suffix, codes in suffix_to_codes.items()},
    }


def is_clean(found: dict[str, Any]) -> bool:
    """Whether every innocent answer was right, and no hostile request was left without an answer."""
    codes = {code for of_model in found["hostile"].values() for code in of_model}
    return set(found["innocent"]) == {"right"} and not codes & {"DEADLINE_EXCEEDED", "UNKNOWN"}


def main(arguments: list[str] | None = None) -> int:
    """Fuzz, print a report as JSON, and tell whether all went well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-model", type=int, default=DEFAULT_PER_MODEL, help="[default: %(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn [default: %(default)s]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        export(CHECKPOINT, name=NAME, repository=Path(folder), precision="fp32")
        with LocalServer(ServerConfig(Path(folder))) as server:
            found = fuzz(server.grpc_url, options.per_model, options.seed)
            server.check()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if is_clean(found) else 1


if __name__ == "__main__":
    sys.exit(main())
