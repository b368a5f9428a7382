"""From the names of Keras variables to those of PyTorch parameters, as Transformers relates them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bertriton_export.reading.files import transposed

if TYPE_CHECKING:
    from bertriton_export.checkpoint import LazyTensor

# What comes first depends on how often the model was built in one process; `:0` is an output of an operation.
_VARIABLE: Final = re.compile(
    r"(?:.*/)?(?P<path>bert/(?:embeddings|encoder|pooler)/.+?|classifier/(?:kernel|bias))(?::0)?"
)
_LAYER: Final = re.compile(r"layer_\._(\d+)")
_KERAS_TO_TORCH: Final = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "weight": "weight",
    "embeddings": "weight",
}


def to_huggingface(name: str, tensor: LazyTensor) -> tuple[str, LazyTensor]:
    """Name and tensor as Hugging Face's `BertForSequenceClassification` has them.

    Example:
        `tf_bert_for_sequence_classification/bert/encoder/layer_._0/output/dense/kernel:0` becomes
        `bert.encoder.layer.0.output.dense.weight`, transposed.
    """
    found = _VARIABLE.fullmatch(name)
    if found is None:
        return name, tensor  # which no classifier has, and `Weights` refuses
    *modules, kind = found["path"].split("/")
    modules = [_LAYER.sub(r"layer.\1", module) for module in modules]
    tensor = transposed(tensor) if kind == "kernel" else tensor
    return ".".join([*modules, _KERAS_TO_TORCH.get(kind, kind)]), tensor
