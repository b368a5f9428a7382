"""A graph for CUDA on this machine's GPU: agreement, packed against padded, share of the device's peak.

    make bench-gpu [BENCH_FLAGS="--checkpoint FOLDER --texts FILE --peak-tflops N --json"]

Without --checkpoint the embedded classifier is measured, and one of BERT-base's shape with random weights.
ONNX Runtime runs in this process, with the options of the exported config; inputs and answers cross to the
GPU and back.

Padded means: the same texts through the same file, each as long as the longest of its batch, filled up with
tokens of its own. That costs what a padded batch costs in all but the mask, which is in the padding's favour:
no mask is read, and attention still takes the fast kernel.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract
from bertriton_bench.devices import peak_tflops
from bertriton_bench.errors import BenchError
from bertriton_bench.texts import default_texts, read_texts
from bertriton_export import ExportError, export
from bertriton_export.checkpoint import with_head
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets import PRECISION_TO_TOLERANCE, TARGETS
from bertriton_export.verification import encode, packed_inputs, reference_logits
from comparisons.checkpoints import BERT_BASE, EMBEDDED, NAME, make_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig

    Inputs = dict[str, np.ndarray]
    Run = Callable[[Inputs], np.ndarray]  # logits

CUDA = "CUDAExecutionProvider"
MIN_ROUNDS = 3
TERA = 1e12
TABLE_WIDTH = 110  # columns at least

# What is a number in the config is a name in Python's ONNX Runtime.
ARENA_STRATEGIES = {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"}


class NoGpuError(Exception):
    """There is nothing here to measure."""


@dataclass(frozen=True)
class Plan:
    """What every classifier is measured with."""

    texts: Sequence[str]
    parity_texts: int  # the first of them, held to the reference
    batch: int  # texts in one
    seconds: float  # at least


@dataclass(frozen=True)
class Result:
    """One classifier in one precision."""

    classifier: str
    precision: str
    parity_texts: int
    max_difference: float  # of logits, from the float64 reference
    tolerance: float
    texts: int
    tokens: int  # real ones
    padding: float  # share of a padded batch's tokens
    packed_tokens_per_s: float
    padded_tokens_per_s: float  # real tokens too
    tflops: float  # packed
    peak_tflops: float | None  # the device's, in this precision

    @property
    def speedup(self) -> float:
        """Packed against padded."""
        return self.packed_tokens_per_s / self.padded_tokens_per_s

    @property
    def is_close(self) -> bool:
        """Whether the GPU computes what the reference does."""
        return self.max_difference <= self.tolerance


def device_name() -> str:
    """What nvidia-smi calls the first GPU.

    Raises:
        NoGpuError: there is none, or this ONNX Runtime cannot use it.
    """
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (its own command)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise NoGpuError(f"no NVIDIA GPU here: nvidia-smi tells of none ({exc})") from exc
    if CUDA not in onnxruntime.get_available_providers():
        raise NoGpuError(
            f"{found.stdout.strip()}: onnxruntime {onnxruntime.__version__} is built without CUDA; "
            "install onnxruntime-gpu in its place"
        )
    return found.stdout.strip()


def cuda_provider_options(config: ModelConfig) -> dict[str, str]:
    """The options of the CUDA provider that a config asks Triton for."""
    options: dict[str, str] = {}
    for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator:
        options |= dict(accelerator.parameters)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    options["gpu_mem_limit"] = parameters["gpu_mem_limit"]
    options["arena_extend_strategy"] = ARENA_STRATEGIES[parameters["arena_extend_strategy"]]
    return options


def open_on_gpu(network: Path) -> Run:
    """A network of a model repository, set up as its config says.

    Raises:
        NoGpuError: CUDA could not be set up.
    """
    config = text_format.Parse((network / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())
    onnxruntime.preload_dlls()  # CUDA's libraries where pip has put them
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = config.parameters["enable_mem_pattern"].string_value != "0"
    providers = [(CUDA, cuda_provider_options(config)), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(network / "1" / "model.onnx", options, providers=providers)
    if CUDA not in session.get_providers():
        raise NoGpuError("ONNX Runtime could not set up CUDA; what it lacks stands above")
    return lambda inputs: np.asarray(session.run([contract.LOGITS], inputs)[0])


def flops(config: BertConfig, lengths: Sequence[int]) -> float:
    """What a forward pass over texts of these lengths takes, a multiplication and an addition each counted.

    A token of a text of S takes, per layer of width H and inner width I, 8 H^2 for queries, keys, values and
    output, 4 H I for the feed-forward block, 4 S H for scores and contexts. Embeddings and head are left out.

    Example:
        >>> flops(bert_base, [128]) / 1e9
        22.34...
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    of_tokens = sum(lengths) * (8 * hidden**2 + 4 * hidden * inner)
    of_pairs = 4 * hidden * sum(length**2 for length in lengths)
    return float(config.num_hidden_layers * (of_tokens + of_pairs))


def padded_inputs(encodings: Sequence[Encoding]) -> Inputs:
    """The texts of a batch, each repeated up to the length of the longest."""
    longest = max(len(encoding.ids) for encoding in encodings)

    def filled(rows: list[list[int]]) -> np.ndarray:
        return np.concatenate([np.resize(np.asarray(row, np.int32), longest) for row in rows])

    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    shapes = np.tile(np.array([1, longest], np.int32), len(encodings))
    return {name + contract.SHAPES_SUFFIX: shapes for name in names} | {
        contract.INPUT_IDS: filled([encoding.ids for encoding in encodings]),
        contract.TOKEN_TYPE_IDS: filled([encoding.type_ids for encoding in encodings]),
        contract.POSITION_IDS: np.tile(np.arange(longest, dtype=np.int32), len(encodings)),
    }


def seconds_of_a_round(run: Run, kinds: Sequence[Sequence[Inputs]], least_s: float) -> list[float]:
    """Median seconds that all batches of each kind take; kinds take turns, after a round of warm-up each."""
    for batches in kinds:
        for inputs in sorted(batches, key=lambda inputs: -len(inputs[contract.INPUT_IDS])):
            run(inputs)
    rounds: list[list[float]] = [[] for _ in kinds]
    started = time.perf_counter()
    while len(rounds[0]) < MIN_ROUNDS or time.perf_counter() - started < least_s:
        for times, batches in zip(rounds, kinds, strict=True):
            begun = time.perf_counter()
            for inputs in batches:
                run(inputs)
            times.append(time.perf_counter() - begun)
    return [statistics.median(times) for times in rounds]


def measure(title: str, folder: Path, precision: str, peak: float | None, plan: Plan) -> Result:
    """Export a checkpoint for CUDA, compare its logits with the reference's, and time it."""
    checkpoint = with_head(read_checkpoint(folder))
    encodings = encode(checkpoint, plan.texts)
    with tempfile.TemporaryDirectory() as repository:
        export(folder, name=NAME, repository=repository, target="cuda", precision=precision)
        run = open_on_gpu(Path(repository) / (NAME + contract.BERT_SUFFIX))
        compared = encodings[: plan.parity_texts]
        difference = np.abs(run(packed_inputs(compared)) - reference_logits(checkpoint, compared)).max()
        starts = range(0, len(encodings), plan.batch)
        batches = [encodings[start : start + plan.batch] for start in starts]
        packed, padded = ([make(batch) for batch in batches] for make in (packed_inputs, padded_inputs))
        packed_s, padded_s = seconds_of_a_round(run, (packed, padded), plan.seconds)
    lengths = [len(encoding.ids) for encoding in encodings]
    return Result(
        classifier=title,
        precision=precision,
        parity_texts=len(compared),
        max_difference=float(difference),
        tolerance=PRECISION_TO_TOLERANCE[precision],
        texts=len(lengths),
        tokens=sum(lengths),
        padding=1 - sum(lengths) / sum(len(inputs[contract.INPUT_IDS]) for inputs in padded),
        packed_tokens_per_s=sum(lengths) / packed_s,
        padded_tokens_per_s=sum(lengths) / padded_s,
        tflops=flops(checkpoint.config, lengths) / packed_s / TERA,
        peak_tflops=peak,
    )


def table_of(results: Sequence[Result], device: str) -> Table:
    """One row a classifier and precision."""
    title = f"{device}, ONNX Runtime {onnxruntime.__version__}"
    table = Table("classifier", "precision", title=title)
    table.columns[0].no_wrap = True
    for heading in ("off by", "tokens/s packed", "padded", "packed is", "padding", "TFLOP/s", "of peak"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.classifier,
            result.precision,
            f"{result.max_difference:.1e}{'' if result.is_close else ' TOO FAR'}",
            f"{result.packed_tokens_per_s:,.0f}",
            f"{result.padded_tokens_per_s:,.0f}",
            f"{result.speedup:.2f} x",
            f"{result.padding:.0%}",
            f"{result.tflops:.1f}",
            f"{result.tflops / result.peak_tflops:.0%}" if result.peak_tflops else "unknown",
        )
    return table


def main() -> int:
    """Measure and print; 1 where there is no GPU, or it computes something else than the reference."""
    options = _options()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        device = device_name()
        results = _results(device, options, console)
    except (NoGpuError, BenchError, ExportError) as exc:
        console.print(f"Error: {exc}", markup=False)
        return 1
    if options.json:
        rows = [{**asdict(result), "speedup": result.speedup} for result in results]
        print(json.dumps({"device": device, "onnxruntime": onnxruntime.__version__, "results": rows}))
    else:
        Console(width=max(TABLE_WIDTH, console.width)).print(table_of(results, device))
    return 0 if all(result.is_close for result in results) else 1


def _results(device: str, options: argparse.Namespace, console: Console) -> list[Result]:
    texts = read_texts(options.texts, "text") if options.texts else default_texts(options.count)
    plan = Plan(texts[: options.count], options.parity_texts, options.batch, options.seconds)
    peaks = {precision: peak_tflops(device, precision) for precision in TARGETS["cuda"].precisions}
    if options.peak_tflops:
        peaks["fp16"] = options.peak_tflops
    results = []
    with tempfile.TemporaryDirectory() as folder, console.status("starting") as status:
        for title, checkpoint in _checkpoints(options.checkpoint, Path(folder)):
            for precision, peak in peaks.items():
                status.update(f"measuring {title} in {precision}")
                results.append(measure(title, checkpoint, precision, peak, plan))
    return results


def _checkpoints(asked: Sequence[Path], folder: Path) -> list[tuple[str, Path]]:
    if asked:
        return [(path.name, path) for path in asked]
    make_checkpoint(folder / "base", BERT_BASE)
    return [("MiniLM", EMBEDDED), ("BERT-base shape", folder / "base")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m comparisons.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="may be repeated")
    parser.add_argument("--texts", type=Path, help="a text a line, or a column `text`; default: film reviews")
    parser.add_argument("--count", type=int, default=1024, help="texts at most")
    parser.add_argument("--batch", type=int, default=64, help="texts of a batch, in the order of the file")
    parser.add_argument("--parity-texts", type=int, default=16, help="texts held to the float64 reference")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each precision for")
    parser.add_argument(
        "--peak-tflops", type=float, help="of the device in fp16, dense; default: by its name"
    )
    parser.add_argument("--json", action="store_true", help="print results for programs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
