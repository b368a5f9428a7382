"""What a machine with a GPU does with every target; docker/gpu-check.sh runs this and says how.

    gpu_check.py [--checkpoint FOLDER] [--targets cuda,tensorrt] [--seconds 10] [--output REPORT.md]

Each target is exported, served by the tritonserver of this machine and asked over gRPC, as callers do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc  # type: ignore[import-untyped]
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bertriton import BertritonError, Client, contract
from bertriton_bench.devices import peak_tflops
from bertriton_export import export
from bertriton_export.checkpoint import tensor_shapes, with_head
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets import TARGETS
from bertriton_export.verification import encode, reference_logits, sample_texts
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton import Classification
    from bertriton_export.checkpoint import BertConfig, Checkpoint

NAME: Final = "checked"
EMBEDDED: Final = (
    Path("/opt/checkpoints/imdb"),
    Path(__file__).parent.parent / "checkpoints" / "imdb-minilm",
)
GPU_TARGETS: Final = "cuda,tensorrt,onnxruntime-tensorrt"
START_TIMEOUT_S: Final = 900.0  # engines are made meanwhile
REFERENCE_TEXTS: Final = 32
IN_FLIGHT: Final = (1, 16, 64)
STALL_S: Final = 0.4
STALL_CLIENTS: Final = (1, 8)
INNOCENTS: Final = 8
FACTS: Final = {
    "GPU": ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,mig.mode.current", "--format=csv"],
    "tritonserver": ["sh", "-c", "cat /opt/tritonserver/TRITON_VERSION || command -v tritonserver"],
    "TensorRT": ["sh", "-c", "PATH=$PATH:/usr/src/tensorrt/bin; trtexec --help 2>&1 | head -n 1 | grep v"],
    "TensorRT's libraries": ["sh", "-c", "ldconfig -p | grep -m 1 libnvinfer.so"],
    "trtexec": ["sh", "-c", "PATH=$PATH:/usr/src/tensorrt/bin; command -v trtexec"],
    "backends": ["ls", "/opt/tritonserver/backends"],
    "CPU": ["sh", "-c", "nproc; grep -m 1 'model name' /proc/cpuinfo"],
}
# Ids, token types and positions that the network must refuse: foreign ids, starts within a row, rows of
# unequal length.
HOSTILE: Final = (
    ([[10**8]], [[0]], [[0]]),
    ([[5, 6, 7]], [[0, 0, 0]], [[0, 0, -2]]),
    ([[5, 6, 7], [8, 9, 4]], [[0], [0]], [[0, 1, 2], [0, 1, 2]]),
)


Call = tuple[float, int]  # seconds, tokens


class Report:
    """Markdown in the making."""

    def __init__(self) -> None:
        self.lines = ["# bertriton on a GPU"]
        self.failures = 0

    def section(self, title: str) -> None:
        """Begin a section."""
        self.lines += ["", f"## {title}", "", "| what | found |", "|---|---|"]

    def row(self, what: str, found: Callable[[], str]) -> None:
        """Find something out and note it; what fails is noted as well, and the rest goes on."""
        try:
            value = found()
        except Exception as exc:  # noqa: BLE001 - whatever it was, it belongs into the report
            self.failures += 1
            value = f"**FAILED**: {type(exc).__name__}: {exc}"
        line = f"| {what} | {one_line(value)} |"
        print(line, file=sys.stderr, flush=True)
        self.lines.append(line)

    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.lines, "", f"Failed: {self.failures}", ""])


def one_line(text: str) -> str:
    """A text as a cell of a table."""
    return "<br>".join(text.strip().splitlines()).replace("|", "\\|")


def fact(command: Sequence[str]) -> str:
    """What a program says, or that it does not."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - one of FACTS
            command, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout
    return "not found"


def exported(checkpoint: Path, target: str, folder: Path) -> str:
    """Export, and make what to serve in `folder/served`."""
    started_s = time.monotonic()
    report = export(checkpoint, name=NAME, repository=folder / "repository", target=target)
    took_s = time.monotonic() - started_s
    script = folder / "repository" / f"{NAME}{contract.BERT_SUFFIX}" / "build_engine.sh"
    if not script.exists():
        (folder / "served").symlink_to(folder / "repository")
        return f"{report.precision}, exported in {took_s:.0f} s"
    done = subprocess.run(  # noqa: S603 - the export's own script
        [script, folder / "engines", folder / "served"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    took = f"exported in {took_s:.0f} s, engine in {time.monotonic() - started_s - took_s:.0f} s"
    return f"{report.precision}, {took}"


def agreement(url: str, checkpoint: Checkpoint) -> str:
    """How far the answers are from the float64 reference."""
    encodings = encode(checkpoint, sample_texts()[:REFERENCE_TEXTS])
    expected = reference_logits(checkpoint, encodings)
    with Client(url, NAME, timeout=120) as client:
        answers = client.classify(list(sample_texts()[:REFERENCE_TEXTS]))
    found = np.array([answer.logits for answer in answers])
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    difference = np.abs(found - expected).max()
    if not np.isfinite(difference):
        raise ValueError("an answer is not a number")
    return f"{difference:.2g} at most between logits, {same} of {len(found)} labels equal"


def hostile_request(index: int) -> service_pb2.ModelInferRequest:
    """A request to the network that it has to refuse."""
    request = service_pb2.ModelInferRequest(model_name=NAME + contract.BERT_SUFFIX)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    for name, values in zip(names, HOSTILE[index % len(HOSTILE)], strict=True):
        array = np.asarray(values, np.int32)
        request.inputs.add(name=name, datatype="INT32", shape=list(array.shape))
        request.raw_input_contents.append(array.tobytes())
    return request


def send_hostile(url: str, done: threading.Event) -> None:
    """Send what the network has to refuse until told to stop."""
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        index = 0
        while not done.is_set():
            with suppress(grpc.RpcError):
                stub.ModelInfer(hostile_request(index), timeout=30)
            index += 1


def cross_talk(url: str, seconds: float) -> str:
    """What innocent callers notice of hostile ones beside them."""
    done = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        hostile = [pool.submit(send_hostile, url, done) for _ in range(2)]
        try:
            found = innocent_outcomes(url, seconds)
        finally:
            done.set()
        for one in hostile:
            one.result()
    if found.keys() - {"right"}:
        raise ValueError(f"of {found.total()} innocent answers these were not right: {dict(found)}")
    return f"none of {found.total()} innocent answers changed or failed"


def innocent_outcomes(url: str, seconds: float) -> Counter[str]:
    """How calls of the same texts over and over end, held to what comes when nobody else asks."""
    texts = list(sample_texts()[:INNOCENTS])
    with Client(url, NAME) as client, ThreadPoolExecutor(INNOCENTS) as pool:
        expected = [client.classify(text).label for text in texts]

        def ask_again(text: str, right: str) -> str:
            try:
                return "right" if client.classify(text).label == right else "changed"
            except BertritonError as error:
                return type(error).__name__

        found: Counter[str] = Counter()
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            found.update(pool.map(ask_again, texts, expected))
        return found


def timed(url: str, clients: int, texts: Sequence[str], until: Callable[[int], bool]) -> list[Call]:
    """The calls of so many clients, each of which asks until it has asked enough."""
    found: list[Call] = []
    limit = 0

    def call(start: int) -> None:
        with Client(url, NAME) as client:
            client.classify(texts[0])
            index = 0
            while until(index):
                started_s = time.monotonic()
                answer: Classification = client.classify(texts[(start + index) % len(texts)])
                found.append((time.monotonic() - started_s, min(answer.token_count, limit)))
                index += 1

    with Client(url, NAME) as client:
        limit = client.info.max_length
    threads = [threading.Thread(target=call, args=(start,)) for start in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def stalls(url: str, clients: int, requests: int) -> str:
    """How many calls of few clients took as long as no batch does."""
    calls = timed(url, clients, ["a film like any other"], lambda index: index < requests // clients)
    slow = sum(seconds > STALL_S for seconds, _ in calls)
    longest_ms = 1000 * max(seconds for seconds, _ in calls)
    return f"{slow} of {len(calls)} over {1000 * STALL_S:.0f} ms, the longest {longest_ms:.0f} ms"


class Speed:
    """Tokens a second by target, for what is told of two of them."""

    def __init__(self, config: BertConfig, seconds: float, peak: float | None) -> None:
        self.config, self.seconds, self.peak = config, seconds, peak
        self.target_to_tokens: dict[str, float] = {}

    def measure(self, url: str, target: str, in_flight: int) -> str:
        """Latency and speed with so many texts in flight."""
        end_s = time.monotonic() + self.seconds
        calls = timed(url, in_flight, sample_texts(), lambda _: time.monotonic() < end_s)
        p50, p99 = np.percentile([1000 * seconds for seconds, _ in calls], [50, 99])
        tokens_per_s = sum(tokens for _, tokens in calls) / self.seconds
        self.target_to_tokens[target] = max(tokens_per_s, self.target_to_tokens.get(target, 0))
        speed = f"{len(calls) / self.seconds:.0f} texts/s, {tokens_per_s:,.0f} tokens/s"
        return f"{speed}, p50 {p50:.1f} ms, p99 {p99:.1f} ms"

    def share_of_peak(self, target: str) -> str:
        """How much of what the device can do is used, by the products of linear layers alone."""
        if not self.peak:
            return "the device's peak is not known here: give --peak-tflops"
        shapes = tensor_shapes(self.config).items()
        weights = sum(prod(shape) for name, shape in shapes if ".layer." in name and len(shape) > 1)
        tflops = 2 * weights * self.target_to_tokens[target] / 1e12
        return f"{tflops:.2f} TFLOP/s, {100 * tflops / self.peak:.1f} % of {self.peak:.0f}"

    def packed_against_padded(self) -> str:
        """Tokens without padding against tokens with it."""
        packed, padded = (self.target_to_tokens[target] for target in ("cuda", "tensorrt"))
        return f"{packed / padded:.2f} times as many tokens/s"


class Asked(NamedTuple):
    """What every target is asked."""

    checkpoint: Checkpoint
    speed: Speed
    requests: int  # to see stalls


def check(report: Report, target: str, asked: Asked) -> None:
    """All of one target."""
    report.section(f"Target {target}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report.row("export", partial(exported, asked.checkpoint.path, target, folder))
        if not (folder / "served").exists():
            return
        server = LocalServer(ServerConfig(folder / "served", start_timeout_s=START_TIMEOUT_S))
        before = report.failures
        report.row("start", partial(started, server))
        if report.failures == before:
            try:
                ask(report, server.grpc_url, target, asked)
            finally:
                server.stop(grace_s=0)


def started(server: LocalServer) -> str:
    """Start, with the warm-up that the config asks for."""
    started_s = time.monotonic()
    server.start()
    return f"ready after {time.monotonic() - started_s:.0f} s"


def ask(report: Report, url: str, target: str, asked: Asked) -> None:
    """Every question to a server that runs."""
    speed = asked.speed
    report.row("agreement with float64", partial(agreement, url, asked.checkpoint))
    report.row("hostile requests beside innocent ones", partial(cross_talk, url, speed.seconds))
    for clients in STALL_CLIENTS:
        report.row(f"stalls, {clients} clients", partial(stalls, url, clients, asked.requests))
    for in_flight in IN_FLIGHT:
        report.row(f"{in_flight} texts in flight", partial(speed.measure, url, target, in_flight))
    report.row("share of the device's peak", partial(speed.share_of_peak, target))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    embedded = next((path for path in EMBEDDED if path.exists()), None)
    parser.add_argument("--checkpoint", type=Path, default=embedded, help="[default: the embedded one]")
    parser.add_argument("--targets", default=GPU_TARGETS, help="separated by commas [default: %(default)s]")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load [default: %(default)s]")
    parser.add_argument("--requests", type=int, default=1000, help="to see stalls [default: %(default)s]")
    parser.add_argument("--peak-tflops", type=float, help="of the device in fp16 [default: by its name]")
    parser.add_argument("--output", type=Path, help="where to write the report [default: stdout]")
    options = parser.parse_args(arguments)
    options.targets = options.targets.split(",")
    unknown = sorted(set(options.targets) - TARGETS.keys())
    if unknown or options.checkpoint is None:
        parser.error(f"--targets: expected some of {', '.join(TARGETS)}; and --checkpoint a folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, write the report, and tell whether all went well."""
    options = read_options(arguments)
    report = Report()
    report.section("Machine")
    for what, command in FACTS.items():
        report.row(what, partial(fact, command))
    checkpoint = with_head(read_checkpoint(options.checkpoint))
    peak = options.peak_tflops or peak_tflops(fact(FACTS["GPU"]), "fp16")
    speed = Speed(checkpoint.config, options.seconds, peak)
    for target in options.targets:
        check(report, target, Asked(checkpoint, speed, options.requests))
    if {"cuda", "tensorrt"} <= speed.target_to_tokens.keys():
        report.section("Packed against padded")
        report.row("cuda against tensorrt", speed.packed_against_padded)
    if options.output:
        options.output.write_text(report.text(), encoding="utf-8")
    else:
        print(report.text())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
