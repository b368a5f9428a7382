"""What a graph can be made for: one entry a target, and one module that writes its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import OptionError
from bertriton_export.targets import cpu, cuda, tensorrt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton.contract import ClassifierInfo
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.targets.graph_request import GraphRequest, WrittenGraph
    from bertriton_export.targets.network_config import NetworkConfig

    Stage = Callable[[str], object]


@dataclass(frozen=True)
class Target:
    """One kind of machine to serve on."""

    summary: str  # for people
    precisions: tuple[str, ...]  # of its graphs, the default first
    # Writes the graph and all that belongs to it into the folder of its version, and checks it.
    write_graph: Callable[[Checkpoint, Path, GraphRequest, Stage], WrittenGraph]
    # How the config of the network differs from target to target.
    network: Callable[[ClassifierInfo, GraphRequest], NetworkConfig]


TARGETS: Final = {
    "cpu": Target("CPUs", cpu.PRECISIONS, write_graph=cpu.write_cpu_graph, network=cpu.cpu_network),
    "cuda": Target(
        "NVIDIA GPUs, by ONNX Runtime's CUDA kernels",
        cuda.PRECISIONS,
        write_graph=cuda.write_cuda_graph,
        network=cuda.cuda_network,
    ),
    "tensorrt": Target(
        "NVIDIA GPUs, by a TensorRT engine",
        tensorrt.PRECISIONS,
        write_graph=tensorrt.write_tensorrt_files,
        network=tensorrt.tensorrt_network,
    ),
    "onnxruntime-tensorrt": Target(
        "NVIDIA GPUs, by ONNX Runtime with TensorRT",
        tensorrt.PRECISIONS,
        write_graph=tensorrt.write_onnxruntime_tensorrt_files,
        network=tensorrt.onnxruntime_tensorrt_network,
    ),
}
DEFAULT_TARGET: Final = "cpu"
ALL_PRECISIONS: Final = sorted({name for target in TARGETS.values() for name in target.precisions})


def checked_target(target: str, precision: str | None) -> tuple[Target, str]:
    """A target by its name, and the precision asked for or its default.

    Raises:
        OptionError: there is no such target, or it has no such precision.
    """
    if target not in TARGETS:
        raise OptionError(f"target {target!r}: expected one of {', '.join(TARGETS)}")
    precisions = TARGETS[target].precisions
    if precision is None:
        return TARGETS[target], precisions[0]
    if precision not in precisions:
        raise OptionError(
            f"precision {precision!r} for target {target}: expected one of {', '.join(precisions)}"
        )
    return TARGETS[target], precision
