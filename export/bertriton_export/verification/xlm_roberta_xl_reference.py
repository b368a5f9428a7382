"""XLM-RoBERTa-XL as a classifier in float64 numpy: BERT with LayerNorm before each block.

Goyal et al. 2021, https://arxiv.org/abs/2105.00572.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton_export.verification.bert_reference import (
    head_logits,
    self_attention,
    summed_embeddings,
    through_layers,
    two_linears,
)
from bertriton_export.verification.float64 import Part, layer_norm, linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig, Checkpoint
    from bertriton_export.verification.float64 import Array


def xlm_roberta_xl_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts."""
    encoder, epsilon = Part(checkpoint.weights, "bert.encoder."), checkpoint.config.layer_norm_eps
    states = through_layers(checkpoint, summed_embeddings(checkpoint, encodings), _layer)
    return head_logits(checkpoint, [layer_norm(encoder, "LayerNorm", state, epsilon) for state in states])


def _layer(part: Part, config: BertConfig, hidden: Array) -> Array:
    normal = layer_norm(part, "attention.output.LayerNorm", hidden, config.layer_norm_eps)
    hidden = hidden + linear(part, "attention.output.dense", self_attention(part, config, normal))
    return hidden + two_linears(
        part, config, layer_norm(part, "output.LayerNorm", hidden, config.layer_norm_eps)
    )
