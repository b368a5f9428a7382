"""The network as an ONNX graph: a builder, blocks, and one readable file a model family.

In: a `Checkpoint` and `GraphOptions`. Out: `model.onnx`, and a file beside it with the weights.
"""

from bertriton_export.network.attention import LoopAttention, PackedAttention
from bertriton_export.network.bert import (
    GraphOptions,
    GraphWriter,
    is_after_activation,
    output_fingerprint,
    position_table,
)
from bertriton_export.network.disentangled import columns, distance_table
from bertriton_export.network.families import (
    ONNX_FILE,
    encoder_layers,
    encoder_linears,
    linears_within,
    readers_of_one_input,
    takes_attention,
    write_bert_graph,
)
from bertriton_export.network.graph_builder import OPSET, GraphBuilder, WeightFile
from bertriton_export.network.int8_linear import (
    SIGNED_LEVELS,
    WEIGHT_LEVELS,
    Int8Options,
    quantise_weight,
)
from bertriton_export.network.linear import Float, FloatLinear, to_float
from bertriton_export.network.relatives import relative_bias

__all__ = [
    "ONNX_FILE",
    "OPSET",
    "SIGNED_LEVELS",
    "WEIGHT_LEVELS",
    "Float",
    "FloatLinear",
    "GraphBuilder",
    "GraphOptions",
    "GraphWriter",
    "Int8Options",
    "LoopAttention",
    "PackedAttention",
    "WeightFile",
    "columns",
    "distance_table",
    "encoder_layers",
    "encoder_linears",
    "is_after_activation",
    "linears_within",
    "output_fingerprint",
    "position_table",
    "quantise_weight",
    "readers_of_one_input",
    "relative_bias",
    "takes_attention",
    "to_float",
    "write_bert_graph",
]
