"""TensorRT: a padded graph of operators that its parser reads, and the shapes that engines are made for.

In: a `Checkpoint` and a `GraphRequest`. Out: the graph, and `build_engine.sh` where it is served from an
engine.
"""

from bertriton_export.targets.tensorrt.target import (
    PRECISIONS,
    onnxruntime_tensorrt_network,
    tensorrt_network,
    write_onnxruntime_tensorrt_files,
    write_tensorrt_files,
)

__all__ = [
    "PRECISIONS",
    "onnxruntime_tensorrt_network",
    "tensorrt_network",
    "write_onnxruntime_tensorrt_files",
    "write_tensorrt_files",
]
