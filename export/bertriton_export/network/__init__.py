"""The network as an ONNX graph: a builder, blocks, and one readable file a model family.

In: a `Checkpoint` and `GraphOptions`. Out: `model.onnx`, and `model.onnx.data` with the weights.
"""

from bertriton_export.network.attention import LoopAttention, PackedAttention
from bertriton_export.network.bert import (
    ONNX_FILE,
    WEIGHTS_FILE,
    GraphOptions,
    GraphWriter,
    encoder_linears,
    is_after_activation,
    position_table,
    write_bert_graph,
)
from bertriton_export.network.graph_builder import OPSET, GraphBuilder, WeightFile
from bertriton_export.network.int8_linear import (
    FULL_WEIGHT_LEVELS,
    REDUCED_WEIGHT_LEVELS,
    SIGNED_LEVELS,
    Int8Options,
    quantise_weight,
)
from bertriton_export.network.linear import Float, FloatLinear, to_float

__all__ = [
    "FULL_WEIGHT_LEVELS",
    "ONNX_FILE",
    "OPSET",
    "REDUCED_WEIGHT_LEVELS",
    "SIGNED_LEVELS",
    "WEIGHTS_FILE",
    "Float",
    "FloatLinear",
    "GraphBuilder",
    "GraphOptions",
    "GraphWriter",
    "Int8Options",
    "LoopAttention",
    "PackedAttention",
    "WeightFile",
    "encoder_linears",
    "is_after_activation",
    "position_table",
    "quantise_weight",
    "to_float",
    "write_bert_graph",
]
