"""int8 that decides as fp32 does.

In: a `Checkpoint` and an `Int8Request` with its `Int8Texts`. Out: an int8 graph and its `Int8Comparison`, or
an `Int8GateError` that names the layers to blame.
"""

from bertriton_export.int8.gate import Int8Comparison, judged
from bertriton_export.int8.graph import (
    ALL_LINEARS,
    Int8Kind,
    Int8Request,
    write_fp32_graph,
    write_int8_graph,
    write_ungated_int8,
)
from bertriton_export.int8.texts import MIN_JUDGING_TEXTS, Int8Texts, default_texts, split_texts

__all__ = [
    "ALL_LINEARS",
    "MIN_JUDGING_TEXTS",
    "Int8Comparison",
    "Int8Kind",
    "Int8Request",
    "Int8Texts",
    "default_texts",
    "judged",
    "split_texts",
    "write_fp32_graph",
    "write_int8_graph",
    "write_ungated_int8",
]
