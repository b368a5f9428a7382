"""Graphs for NVIDIA GPUs, for ONNX Runtime's CUDA kernels in fp16 or fp32, and how Triton serves them.

In fp16 the embeddings and the encoder are fp16, weights and activations alike, and the head is fp32, so that
answers have all their digits. The residual stream stays fp16: behind every block it goes through LayerNorm,
so it neither grows with depth nor comes near the end of fp16, and in fp32 each LayerNorm would move four
times the bytes. What needs fp32 is inside LayerNorm: the residual's sum and its mean and variance. The fused
kernel has them in fp32 in its strict mode only, which the config asks for (`CUDA_OPTIONS`); see
https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/contrib_ops/cuda/bert/skip_layer_norm_impl.cu.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.network import (
    GraphOptions,
    LoopAttention,
    PackedAttention,
    takes_attention,
    write_bert_graph,
)
from bertriton_export.targets.gpu_memory import network_bytes
from bertriton_export.targets.graph_request import WrittenGraph
from bertriton_export.targets.network_config import (
    KIND_GPU,
    MAX_BATCH_SIZE,
    MAX_REQUEST_TOKENS,
    NetworkConfig,
    WarmUp,
)
from bertriton_export.verification import FP32_TOLERANCE, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton.contract import ClassifierInfo
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.targets.graph_request import GraphRequest

PRECISIONS: Final = ("fp16", "fp32")
# Largest |logit difference| from the float64 reference. Measured in fp16, where logits are 1 to 4: 0.0015 on
# the embedded checkpoint, up to 0.022 on the tests' random ones, whose large weights make much of a rounding.
FP16_TOLERANCE: Final = 0.05
PRECISION_TO_TOLERANCE: Final = {"fp16": FP16_TOLERANCE, "fp32": FP32_TOLERANCE}

# A GPU is idle where a CPU is long busy: as many rows as one request may have.
MERGED_ROWS: Final = MAX_BATCH_SIZE
SHORT_WARMUP_TOKENS: Final = 16

PRECISION_TO_VALUE_BYTES: Final = {"fp16": 2, "fp32": 4}
_SAME_AS_REQUESTED: Final = "1"
# Options of ONNX Runtime's CUDA provider,
# https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
# Without strict mode the fused LayerNorm adds up in fp16; TF32 would leave fp32 no more digits than fp16 has.
CUDA_OPTIONS: Final = {"enable_skip_layer_norm_strict_mode": "1", "use_tf32": "0"}

_VERIFIED: Final = (
    "{precision} logits on the CPU, of the same graph with a loop over windows in place of "
    "PackedMultiHeadAttention, which only GPUs have,"
)
_VERIFIED_ITSELF: Final = "{precision} logits on the CPU"


def cuda_options(precision: str) -> GraphOptions:
    """How a graph for CUDA computes what the checkpoint says."""
    dtype = np.float16 if precision == "fp16" else np.float32
    return GraphOptions(attention=PackedAttention, dtype=dtype, is_fused=True)


def write_cuda_graph(
    checkpoint: Checkpoint, folder: Path, request: GraphRequest, on_stage: Callable[[str], object]
) -> WrittenGraph:
    """Write the graph, and hold to the reference what a CPU can run of it: all, or all but its attention.

    Raises:
        UnsupportedModelError: a weight is too large for fp16.
        VerificationError: the graph, or its twin with attention in a loop, is too far off.
    """
    options = replace(cuda_options(request.precision), fingerprint=request.fingerprint)
    on_stage("building the graph")
    if not takes_attention(checkpoint.config):
        file = write_bert_graph(checkpoint, folder, options)
        on_stage("verifying it against the float64 reference")
        verification = verify(checkpoint, file, PRECISION_TO_TOLERANCE[request.precision])
        verified = _VERIFIED_ITSELF.format(precision=request.precision)
        return WrittenGraph(verification, verified, facts={"target": "cuda", "verified": verified})
    with tempfile.TemporaryDirectory(dir=folder) as twin:
        file = write_bert_graph(checkpoint, Path(twin), replace(options, attention=LoopAttention))
        on_stage("verifying it against the float64 reference")
        verification = verify(checkpoint, file, PRECISION_TO_TOLERANCE[request.precision])
    write_bert_graph(checkpoint, folder, options)
    verified = _VERIFIED.format(precision=request.precision)
    return WrittenGraph(verification, verified, facts={"target": "cuda", "verified": verified})


def gpu_memory_limit(info: ClassifierInfo, request: GraphRequest) -> int:
    """Bytes that an instance may take of the GPU: enough for the warm-up and the largest request.

    Raises:
        ValueError: the request does not tell the network's sizes.
    """
    if request.sizes is None:
        raise ValueError("the memory of a GPU depends on the network's sizes: set GraphRequest.sizes")
    tokens = max(MAX_REQUEST_TOKENS, MERGED_ROWS * info.max_length)
    return network_bytes(request.sizes, PRECISION_TO_VALUE_BYTES[request.precision], tokens)


def cuda_network(info: ClassifierInfo, request: GraphRequest) -> NetworkConfig:
    """How Triton serves the graph."""
    return NetworkConfig(
        backend="onnxruntime",
        kind=KIND_GPU,
        merged_rows=(MERGED_ROWS,),
        # The largest first, or memory taken for small batches lies between what a large one needs.
        warmups=(WarmUp(info.max_length, MERGED_ROWS), WarmUp(min(SHORT_WARMUP_TOKENS, info.max_length))),
        # Memory's limits are not among the CUDA options, since Triton's backend overwrites them there where a
        # config has parameters. A plan of memory is for one number of tokens, which hardly comes twice.
        parameters={
            "gpu_mem_limit": str(gpu_memory_limit(info, request)),
            "arena_extend_strategy": _SAME_AS_REQUESTED,
            "enable_mem_pattern": "0",
        },
        accelerators={"cuda": CUDA_OPTIONS},
    )
