"""ONNX Runtime's sessions as config.pbtxt asks for them, in the C++ backend's terms."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime as ort
import triton_python_backend_utils as pb_utils
from cores import usable_cores  # type: ignore[import-not-found]
from features import VNNI, has  # type: ignore[import-not-found]
from onnxruntime.capi import onnxruntime_pybind11_state

Entry = dict[str, Any]  # an input, an output and the like of config.pbtxt

# `optimization.graph.level` as the C++ backend reads it; any other level means everything.
LEVEL_TO_OPTIMIZATION = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
CUDA_KEYS = {"gpu_mem_limit", "arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream"}
# What is a number in Triton's config is a name in ONNX Runtime's options.
CUDA_NUMBER_TO_NAME = {
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
}
# ONNX Runtime's own values (0 and -1 mean those), except that it grows by what is asked for: by powers of
# two it took tens of megabytes at once when odd lengths met.
ARENA = {
    "max_mem": 0,
    "arena_extend_strategy": 1,  # as requested
    "initial_chunk_size_bytes": -1,
    "max_dead_bytes_per_chunk": -1,
    "initial_growth_chunk_size_bytes": -1,
}
THREADS_KEY = "intra_op_thread_count"
PRECISION_KEY = "session.x64quantprecision"
ANY_CPU_KEY = "exact_on_any_cpu"
INITIALIZERS_KEY = "session.use_device_allocator_for_initializers"
NO_KERNEL = onnxruntime_pybind11_state.NotImplemented
SHRINKAGE_KEY = "memory.enable_memory_arena_shrinkage"


def thread_count(parameters: dict[str, str]) -> int:
    """Threads that the config asks for, or one for each core that this process may use."""
    return int(parameters.get(THREADS_KEY, 0)) or int(usable_cores())


def load_session(
    config: Entry, parameters: dict[str, str], args: dict[str, str], threads: int
) -> ort.InferenceSession:
    """ONNX Runtime's session for the model file, on so many threads."""
    folder = Path(args["model_repository"]) / args["model_version"]
    path = folder / (config.get("default_model_filename") or "model.onnx")
    if not path.is_file():
        raise pb_utils.TritonModelException(f"{path} does not exist")
    providers = choose_providers(config, parameters, args)
    options = make_session_options(config, parameters, threads)
    try:
        # By path and not by content: external data lies beside the file.
        session = ort.InferenceSession(os.fspath(path), options, providers)
    except NO_KERNEL as exc:
        raise pb_utils.TritonModelException(no_kernel_message(path, str(exc))) from exc
    if len(session.get_providers()) < len(providers):
        pb_utils.Logger.log_warn(f"{path}: CUDA could not be set up, it runs on the CPU")
    pb_utils.Logger.log_info(f"{path}: onnxruntime {ort.__version__}, {session.get_providers()}")
    return session


def no_kernel_message(path: Path, error: str) -> str:
    """What to do where ONNX Runtime knows an operator but cannot run it here."""
    found = re.search(r" for (?:[\w.]+\.)?(\w+)\(", error)
    return (
        f"{path}: this onnxruntime, with {ort.get_available_providers()}, cannot run "
        f"{found[1] if found else error}; a network made for GPUs (--target cuda) needs Triton's own "
        "onnxruntime backend on a GPU, export it again with --target cpu to serve it here"
    )


def make_session_options(config: Entry, parameters: dict[str, str], threads: int) -> ort.SessionOptions:
    """What the config says of memory and optimisation; ONNX Runtime's defaults for the rest."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    if parameters.get("execution_mode", "0") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1") == "1"
    if options.enable_cpu_mem_arena:
        share_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    # Without VNNI, x86 adds pairs of int8 products in 16 bits, which can overflow. This makes such CPUs
    # multiply exactly, by a copy of the weights, in a quarter more time. With VNNI they do so anyway, and it
    # takes twice the time. Where the exporter made weights whose sums fit, there is no need of it either.
    if not has(VNNI) and parameters.get(ANY_CPU_KEY) != "1":
        options.add_session_config_entry(PRECISION_KEY, "1")
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "1") == "1"
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    if level in LEVEL_TO_OPTIMIZATION:
        options.graph_optimization_level = LEVEL_TO_OPTIMIZATION[level]
    if INITIALIZERS_KEY in parameters:
        options.add_session_config_entry(INITIALIZERS_KEY, parameters[INITIALIZERS_KEY])
    for library in config.get("model_operations", {}).get("op_library_filename", []):
        options.register_custom_ops_library(library)
    return options


@cache
def share_arena() -> None:
    """Make one arena for all sessions of this process: what one has left, another can use."""
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, ort.OrtArenaCfg(ARENA))


def make_run_options(parameters: dict[str, str]) -> ort.RunOptions:
    """What the config says of each run."""
    options = ort.RunOptions()
    if SHRINKAGE_KEY in parameters:
        options.add_run_config_entry(SHRINKAGE_KEY, parameters[SHRINKAGE_KEY])
    return options


def choose_providers(config: Entry, parameters: dict[str, str], args: dict[str, str]) -> list[Any]:
    """CUDA for a GPU instance where ONNX Runtime has it, else the CPU."""
    if args["model_instance_kind"] != "GPU":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pb_utils.Logger.log_warn(
            "a KIND_GPU instance runs on the CPU: this onnxruntime is built without CUDA"
        )
        return ["CPUExecutionProvider"]
    cuda = {"device_id": args["model_instance_device_id"]}
    for accelerator in accelerators(config).get("gpu_execution_accelerator", []):
        if accelerator["name"] == "cuda":
            cuda.update(accelerator.get("parameters", {}))
    for key in CUDA_KEYS & parameters.keys():
        cuda[key] = CUDA_NUMBER_TO_NAME.get(key, {}).get(parameters[key], parameters[key])
    return [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]


def accelerators(config: Entry) -> dict[str, list[Entry]]:
    """`optimization.execution_accelerators`: the field's name -> what was asked for."""
    return config.get("optimization", {}).get("execution_accelerators") or {}
