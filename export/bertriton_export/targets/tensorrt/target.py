"""Graphs for NVIDIA GPUs with TensorRT, in fp16, int8 or fp32, and the two ways that Triton serves them.

`tensorrt` serves an engine, which `build_engine.sh` beside the config makes on the machine that serves, since
it fits one version of TensorRT and one kind of GPU. `onnxruntime-tensorrt` serves the ONNX file itself, and
ONNX Runtime's TensorRT provider makes the engine as it loads.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.int8 import ALL_LINEARS, Int8Kind, write_int8_graph
from bertriton_export.network import GraphOptions, encoder_linears, is_after_activation
from bertriton_export.targets.cuda import PRECISION_TO_TOLERANCE
from bertriton_export.targets.graph_request import WrittenGraph
from bertriton_export.targets.network_config import KIND_GPU, NetworkConfig, WarmUp
from bertriton_export.targets.tensorrt.families import write_tensorrt_graph
from bertriton_export.targets.tensorrt.profiles import (
    engine_profiles,
    padded_lengths,
    shapes_text,
    trtexec_arguments,
    whole_profile,
)
from bertriton_export.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton.contract import ClassifierInfo
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.targets.graph_request import GraphRequest

PRECISIONS: Final = ("fp16", "int8", "fp32")

ENGINE_FILE: Final = "model.plan"
BUILD_SCRIPT: Final = "build_engine.sh"
PROFILES_FILE: Final = "engine_profiles.txt"  # trtexec's arguments, one a line

# Batches that Triton prefers, not measured: a GPU gains by rows for as long as short texts leave it idle.
MERGED_ROWS: Final = (16, 32, 64)

# Where ONNX Runtime keeps engines: below the folder that the server is started in, which docker/entrypoint.sh
# makes its store. ONNX Runtime makes one folder, and none above it. Each export has its own: an engine is
# found by the form of its graph, of which weights are no part.
ENGINE_CACHE_FOLDER: Final = "onnxruntime-tensorrt"


def write_tensorrt_files(
    checkpoint: Checkpoint, folder: Path, request: GraphRequest, on_stage: Callable[[str], object]
) -> WrittenGraph:
    """Write the graph and, beside the config, what makes an engine of it.

    Raises:
        OptionError, UnsupportedModelError, VerificationError, Int8GateError: as `_write_graph` does.
    """
    written = _write_graph(checkpoint, folder, request, on_stage)
    script = folder.parent / BUILD_SCRIPT
    with resources.as_file(resources.files(__package__) / BUILD_SCRIPT) as source:
        shutil.copyfile(source, script)
    script.chmod(0o755)
    arguments = trtexec_arguments(engine_profiles(padded_lengths(checkpoint.max_length)))
    (folder.parent / PROFILES_FILE).write_text("".join(f"{line}\n" for line in arguments), encoding="utf-8")
    return replace(written, facts={"target": "tensorrt"})


def write_onnxruntime_tensorrt_files(
    checkpoint: Checkpoint, folder: Path, request: GraphRequest, on_stage: Callable[[str], object]
) -> WrittenGraph:
    """Write the graph, of which ONNX Runtime makes an engine by itself.

    Raises:
        OptionError, UnsupportedModelError, VerificationError, Int8GateError: as `_write_graph` does.
    """
    written = _write_graph(checkpoint, folder, request, on_stage)
    return replace(written, facts={"target": "onnxruntime-tensorrt"})


def _write_graph(
    checkpoint: Checkpoint, folder: Path, request: GraphRequest, on_stage: Callable[[str], object]
) -> WrittenGraph:
    """Write the graph; the very file meets the reference in fp16 and fp32, and its fp32 twin in int8.

    Raises:
        OptionError: a layer to keep out of int8 does not exist.
        UnsupportedModelError: a weight is too large for fp16.
        VerificationError: the graph is too far off the reference.
        Int8GateError: the int8 graph decides otherwise than its fp32 twin.
    """
    if request.int8:
        kind = Int8Kind(
            _write_int8,
            ALL_LINEARS,
            min_static_tokens=0,
            is_shifted=False,
            spares_first_layer=False,
            fingerprint=request.fingerprint,
        )
        verification, comparison = write_int8_graph(checkpoint, folder, request.int8, on_stage, kind)
        return WrittenGraph(verification, "fp32 logits of a graph for CPUs", comparison)
    dtype = np.float16 if request.precision == "fp16" else np.float32
    options = GraphOptions(dtype=dtype, fingerprint=request.fingerprint)
    on_stage("building the graph")
    file = write_tensorrt_graph(checkpoint, folder, options)
    on_stage("verifying it against the float64 reference")
    verification = verify(checkpoint, file, PRECISION_TO_TOLERANCE[request.precision])
    return WrittenGraph(verification, f"{request.precision} logits on the CPU")


def _write_int8(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """The int8 graph, with fp16 for all that is not int8.

    That includes what GELU gives: a few of its channels are 20 times as large as the rest, and a scale for
    all of them leaves the rest hardly a level.
    """
    after_activation = filter(is_after_activation, encoder_linears(checkpoint.config))
    kept = options.keep_fp32.union(after_activation)
    return write_tensorrt_graph(checkpoint, folder, replace(options, keep_fp32=kept, dtype=np.float16))


def tensorrt_network(info: ClassifierInfo, _: GraphRequest) -> NetworkConfig:
    """How Triton serves the engine."""
    lengths = padded_lengths(info.max_length)
    return NetworkConfig(
        backend="tensorrt",
        kind=KIND_GPU,
        merged_rows=MERGED_ROWS,
        warmups=tuple(map(WarmUp, lengths)),
        # Memory for one profile at a time; the default keeps as much as the largest needs for each.
        parameters={"execution_context_allocation_strategy": "ON_PROFILE_CHANGE"},
        padded_lengths=lengths,
        model_file=ENGINE_FILE,
        profiles=tuple(map(str, range(len(lengths)))),
    )


def onnxruntime_tensorrt_network(info: ClassifierInfo, request: GraphRequest) -> NetworkConfig:
    """How Triton serves the ONNX file by ONNX Runtime's TensorRT provider.

    Its options, none of which is about precision, since the file has that:
    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
    """
    lengths = padded_lengths(info.max_length)
    profile = whole_profile(lengths)
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": f"{ENGINE_CACHE_FOLDER}-{request.fingerprint}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": f"{ENGINE_CACHE_FOLDER}-{request.fingerprint}",
        "trt_profile_min_shapes": shapes_text(profile.smallest),
        "trt_profile_opt_shapes": shapes_text(profile.typical),
        "trt_profile_max_shapes": shapes_text(profile.largest),
    }
    return NetworkConfig(
        backend="onnxruntime",
        kind=KIND_GPU,
        merged_rows=MERGED_ROWS,
        warmups=tuple(map(WarmUp, lengths)),
        accelerators={"tensorrt": options},
        padded_lengths=lengths,
    )
