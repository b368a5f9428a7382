"""The checked checkpoint: dimensions, weights, labels and tokenizer, whatever they were read from.

In: what a reader found. Out: a `Checkpoint`, in which every name, shape, label and id has been checked
once, so that no room behind this one meets a missing or misshapen tensor.
"""

from bertriton_export.checkpoint.architectures import (
    ARCHITECTURES,
    IGNORED_TENSORS,
    Architecture,
    architecture_of,
    read_bert_config,
)
from bertriton_export.checkpoint.checkpoint import Checkpoint
from bertriton_export.checkpoint.deberta import CONTENT_TO_POSITION, POSITION_TO_CONTENT, DebertaConfig
from bertriton_export.checkpoint.dimensions import BertConfig, longest_text, of_family, tensor_shapes
from bertriton_export.checkpoint.heads import HEADS, default_problem_type, with_head
from bertriton_export.checkpoint.json_file import parse_json, read_json
from bertriton_export.checkpoint.modernbert import ModernBertConfig
from bertriton_export.checkpoint.relatives import (
    OTHER_TASKS,
    REFUSED_FAMILIES,
    ErnieConfig,
    MPNetConfig,
    XLMRobertaXLConfig,
)
from bertriton_export.checkpoint.rotary import GteConfig, NomicBertConfig
from bertriton_export.checkpoint.settings import Settings, is_text, require_number, short
from bertriton_export.checkpoint.shapes import GraphFacts, config_from_shapes
from bertriton_export.checkpoint.small_file import is_there, refuse_broken_link, refuse_lfs_pointer
from bertriton_export.checkpoint.tokenizer import (
    FOLLOWED,
    MODEL_TYPE_TO_CLASS,
    REFUSED_TOKENIZERS,
    SPARKNLP_FAMILIES,
    TOKENIZER_FILES,
    TOKENIZERS,
    Sources,
    TokenizerReader,
    with_tokenization,
    wordpiece_tokenizer,
)
from bertriton_export.checkpoint.truncation import (
    TruncationDefaults,
    read_truncation,
    with_truncation,
)
from bertriton_export.checkpoint.weights import FLOAT_DTYPES, LazyTensor, Weights, every_layer

__all__ = [
    "ARCHITECTURES",
    "CONTENT_TO_POSITION",
    "FLOAT_DTYPES",
    "FOLLOWED",
    "HEADS",
    "IGNORED_TENSORS",
    "MODEL_TYPE_TO_CLASS",
    "OTHER_TASKS",
    "POSITION_TO_CONTENT",
    "REFUSED_FAMILIES",
    "REFUSED_TOKENIZERS",
    "SPARKNLP_FAMILIES",
    "TOKENIZERS",
    "TOKENIZER_FILES",
    "Architecture",
    "BertConfig",
    "Checkpoint",
    "DebertaConfig",
    "ErnieConfig",
    "GraphFacts",
    "GteConfig",
    "LazyTensor",
    "MPNetConfig",
    "ModernBertConfig",
    "NomicBertConfig",
    "Settings",
    "Sources",
    "TokenizerReader",
    "TruncationDefaults",
    "Weights",
    "XLMRobertaXLConfig",
    "architecture_of",
    "config_from_shapes",
    "default_problem_type",
    "every_layer",
    "is_text",
    "is_there",
    "longest_text",
    "of_family",
    "parse_json",
    "read_bert_config",
    "read_json",
    "read_truncation",
    "refuse_broken_link",
    "refuse_lfs_pointer",
    "require_number",
    "short",
    "tensor_shapes",
    "with_head",
    "with_tokenization",
    "with_truncation",
    "wordpiece_tokenizer",
]
