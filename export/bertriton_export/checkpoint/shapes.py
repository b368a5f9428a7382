"""The dimensions of a BERT from the shapes of its tensors, for formats that keep no config.json."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.checkpoint.dimensions import BertConfig
from bertriton_export.checkpoint.settings import require_epsilon
from bertriton_export.errors import CheckpointError, TensorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.weights import LazyTensor

_LAYER: Final = re.compile(r"bert\.encoder\.layer\.([0-9]{1,6})\.")
_MATRIX_RANK: Final = 2


@dataclass(frozen=True)
class GraphFacts:
    """What no shape tells; a graph does."""

    num_attention_heads: int
    layer_norm_eps: float
    activation: str  # a value of HIDDEN_ACT_TO_ACTIVATION


def config_from_shapes(tensors: Mapping[str, LazyTensor], facts: GraphFacts, file: Path) -> BertConfig:
    """The configuration that tensors under Hugging Face names belong to.

    Raises:
        TensorError: one that the dimensions are read from is missing or no matrix.
        CheckpointError: the number of heads does not divide the hidden size.
    """

    def matrix(name: str) -> tuple[int, int]:
        if name not in tensors or len(tensors[name].shape) != _MATRIX_RANK:
            found = f"shape {list(tensors[name].shape)}" if name in tensors else "no such tensor"
            raise TensorError(file, name, expected="a matrix", found=found)
        rows, columns = tensors[name].shape
        return rows, columns

    vocab_size, hidden_size = matrix("bert.embeddings.word_embeddings.weight")
    if facts.num_attention_heads < 1 or hidden_size % facts.num_attention_heads:
        raise CheckpointError(
            file,
            f"hidden size {hidden_size} is not a multiple of {facts.num_attention_heads} attention heads",
        )
    layers = {int(found[1]) for name in tensors if (found := _LAYER.match(name))}
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=len(layers),  # a gap is a missing tensor
        num_attention_heads=facts.num_attention_heads,
        intermediate_size=matrix("bert.encoder.layer.0.intermediate.dense.weight")[0],
        max_position_embeddings=matrix("bert.embeddings.position_embeddings.weight")[0],
        type_vocab_size=matrix("bert.embeddings.token_type_embeddings.weight")[0],
        # Graphs hold it in single precision, configurations in decimal.
        layer_norm_eps=require_epsilon(
            file, "the epsilon of its LayerNorm", float(str(np.float32(facts.layer_norm_eps)))
        ),
        activation=facts.activation,
        num_labels=matrix("classifier.weight")[0],
    )
