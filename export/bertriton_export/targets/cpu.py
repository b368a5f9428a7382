"""Graphs for CPUs, in int8 or fp32, and how Triton serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.int8 import Int8Kind, write_fp32_graph, write_int8_graph
from bertriton_export.targets.graph_request import WrittenGraph
from bertriton_export.targets.network_config import KIND_CPU, NetworkConfig, WarmUp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton.contract import ClassifierInfo
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.targets.graph_request import GraphRequest

PRECISIONS: Final = ("int8", "fp32")

# Rows that Triton merges into a batch of the network. On a CPU more make no text faster, and what came first
# would wait for what came last.
MERGED_ROWS: Final = 16
# The pip-only server runs no more tokens than this at once on a core, enough for full speed; larger requests
# run in pieces.
MICRO_BATCH_TOKENS: Final = 512
# Under load a text that happens to be alone runs on all threads from so many products of a weight and an
# activation on. A smaller one is left to one thread, which takes less of the processor's time, and the others
# prepare what comes next. For MiniLM that is 94 tokens in int8, for the BERT-base shape 11.
PRECISION_TO_MIN_ALL_THREADS_PRODUCTS: Final = {"int8": 10**9, "fp32": 3 * 10**8}
# What a request may have in Triton's own backend, which runs it in one go while all others wait: 0.4 s in
# int8 on two cores, counted in products of a weight and an activation. For MiniLM that is 8,192 tokens. A
# text of the greatest length is always taken.
MAX_UNCUT_TOKENS: Final = 2**13
MAX_UNCUT_PRODUCTS: Final = 90 * 10**9
SHORT_WARMUP_TOKENS: Final = 16
# Texts of a model that reads more may be longer: a warm-up of all it reads would take a minute or more.
LONG_WARMUP_TOKENS: Final = 512
LONG_WARMUP_TEXTS: Final = 8  # at once, so that several cores have had their longest run before any request


def write_cpu_graph(
    checkpoint: Checkpoint, folder: Path, request: GraphRequest, on_stage: Callable[[str], object]
) -> WrittenGraph:
    """Write the graph in the precision asked for; of int8, it is the fp32 twin that meets the reference.

    Raises:
        OptionError, VerificationError, Int8GateError: as `int8` does.
    """
    if request.int8:
        kind = Int8Kind(fingerprint=request.fingerprint)
        verification, comparison = write_int8_graph(checkpoint, folder, request.int8, on_stage, kind)
        return WrittenGraph(verification, "fp32 logits", comparison)
    _, verification = write_fp32_graph(checkpoint, folder, on_stage, fingerprint=request.fingerprint)
    return WrittenGraph(verification, "fp32 logits")


def uncut_tokens(info: ClassifierInfo, request: GraphRequest) -> int:
    """Tokens that a request may have where it is not run in pieces, a power of two or the greatest length.

    Raises:
        ValueError: the request does not tell the network's sizes.
    """
    fitting = 1 << (max(1, MAX_UNCUT_PRODUCTS // _products_of_a_token(request)).bit_length() - 1)
    return max(info.max_length, min(fitting, MAX_UNCUT_TOKENS))


def all_threads_tokens(request: GraphRequest) -> int:
    """Tokens from which on a text that is alone gets all threads under load.

    Raises:
        ValueError: the request does not tell the network's sizes.
    """
    return PRECISION_TO_MIN_ALL_THREADS_PRODUCTS[request.precision] // _products_of_a_token(request)


def _products_of_a_token(request: GraphRequest) -> int:
    """In the linear layers of the encoder."""
    if request.sizes is None:
        raise ValueError("what a request may hold depends on the network's sizes: set GraphRequest.sizes")
    hidden, intermediate = request.sizes.hidden_size, request.sizes.intermediate_size
    return request.sizes.num_hidden_layers * (4 * hidden**2 + 2 * hidden * intermediate)


def cpu_network(info: ClassifierInfo, request: GraphRequest) -> NetworkConfig:
    """How Triton serves the graph."""
    parameters = {
        "micro_batch_elements": str(MICRO_BATCH_TOKENS),
        "all_threads_elements": str(all_threads_tokens(request)),
        # It keeps a plan for every number of tokens that comes, and memory would grow with them.
        "enable_mem_pattern": "0",
    }
    if request.int8:
        # Without it the pip-only server tells ONNX Runtime to multiply exactly where a CPU has no VNNI.
        parameters["exact_on_any_cpu"] = "1"
    short, long = (min(tokens, info.max_length) for tokens in (SHORT_WARMUP_TOKENS, LONG_WARMUP_TOKENS))
    return NetworkConfig(
        backend="onnxruntime",
        kind=KIND_CPU,
        merged_rows=(MERGED_ROWS,),
        warmups=(
            WarmUp(short),
            WarmUp(long),
            WarmUp(long, min(LONG_WARMUP_TEXTS, info.max_batch_size)),
            WarmUp(short, info.max_batch_size),
        ),
        parameters=parameters,
        max_request_tokens=uncut_tokens(info, request),
    )
