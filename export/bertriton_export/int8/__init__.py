"""int8 that decides as fp32 does.

In: a `Checkpoint` and an `Int8Request`. Out: an int8 graph and its `Int8Comparison`, or an `Int8GateError`
that names the layers to blame.
"""

from bertriton_export.int8.gate import Int8Comparison
from bertriton_export.int8.graph import ALL_LINEARS, Int8Kind, Int8Request, write_fp32_graph, write_int8_graph

__all__ = ["ALL_LINEARS", "Int8Comparison", "Int8Kind", "Int8Request", "write_fp32_graph", "write_int8_graph"]
