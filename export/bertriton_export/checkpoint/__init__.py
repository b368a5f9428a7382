"""The checked checkpoint: dimensions, weights, labels and tokenizer, whatever they were read from.

In: what a reader found. Out: a `Checkpoint`, in which every name, shape, label and id has been checked
once, so that no room behind this one meets a missing or misshapen tensor.
"""

from bertriton_export.checkpoint.architectures import (
    ARCHITECTURES,
    IGNORED_TENSORS,
    architecture_of,
    read_bert_config,
)
from bertriton_export.checkpoint.checkpoint import Checkpoint
from bertriton_export.checkpoint.dimensions import BertConfig, tensor_shapes
from bertriton_export.checkpoint.heads import HEADS, default_problem_type, with_head
from bertriton_export.checkpoint.json_file import read_json
from bertriton_export.checkpoint.shapes import GraphFacts, config_from_shapes
from bertriton_export.checkpoint.tokenizer import read_tokenizer, reads_token_types, wordpiece_tokenizer
from bertriton_export.checkpoint.weights import LazyTensor, Weights

__all__ = [
    "ARCHITECTURES",
    "HEADS",
    "IGNORED_TENSORS",
    "BertConfig",
    "Checkpoint",
    "GraphFacts",
    "LazyTensor",
    "Weights",
    "architecture_of",
    "config_from_shapes",
    "default_problem_type",
    "read_bert_config",
    "read_json",
    "read_tokenizer",
    "reads_token_types",
    "tensor_shapes",
    "with_head",
    "wordpiece_tokenizer",
]
