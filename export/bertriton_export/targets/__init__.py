"""What a graph can be made for: one module, or one room, a kind of machine.

In: a `Checkpoint` and a `GraphRequest`. Out: the graph in its folder, checked, and the `NetworkConfig` that
tells how Triton serves it. `TARGETS` has them all.
"""

from bertriton_export.targets.cuda import PRECISION_TO_TOLERANCE
from bertriton_export.targets.graph_request import GraphRequest
from bertriton_export.targets.network_config import KIND_CPU, MAX_BATCH_SIZE, NetworkConfig, WarmUp
from bertriton_export.targets.table import ALL_PRECISIONS, DEFAULT_TARGET, TARGETS, Target, checked_target

__all__ = [
    "ALL_PRECISIONS",
    "DEFAULT_TARGET",
    "KIND_CPU",
    "MAX_BATCH_SIZE",
    "PRECISION_TO_TOLERANCE",
    "TARGETS",
    "GraphRequest",
    "NetworkConfig",
    "Target",
    "WarmUp",
    "checked_target",
]
