"""ModernBERT as a classifier in float64 numpy, written from the model's definition.

Warner et al. 2024, https://arxiv.org/abs/2412.13663.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.checkpoint import ModernBertConfig
from bertriton_export.verification.float64 import (
    ACTIVATIONS,
    Part,
    attention,
    feed_forward,
    layer_norm,
    linear,
    turned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.verification.float64 import Array


def modernbert_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts.

    Raises:
        TypeError: the checkpoint is of another family.
    """
    config = checkpoint.config
    if not isinstance(config, ModernBertConfig):
        raise TypeError(f"expected a ModernBERT, found {type(config).__name__}")
    embeddings = Part(checkpoint.weights, "model.embeddings.")
    words = embeddings.rows("tok_embeddings.weight", [encoding.ids for encoding in encodings])
    states = [_norm(embeddings, "norm", text, config) for text in words]  # (L, H) each
    for index in range(config.num_hidden_layers):
        layer = Part(checkpoint.weights, f"model.layers.{index}.")
        states = [_layer(layer, config, index, state) for state in states]
    return _head_logits(Part(checkpoint.weights, ""), config, states)


def _head_logits(part: Part, config: ModernBertConfig, states: Sequence[Array]) -> Array:
    finals = [_norm(part, "model.final_norm", state, config) for state in states]
    pooled = np.stack([final[0] if config.pooling == "cls" else final.mean(axis=0) for final in finals])
    dense = linear(part, "head.dense", pooled, has_bias=config.has_head_bias)
    return linear(
        part, "classifier", _norm(part, "head.norm", ACTIVATIONS[config.head_activation](dense), config)
    )


def _layer(part: Part, config: ModernBertConfig, index: int, hidden: Array) -> Array:
    normal = hidden if index == 0 else _norm(part, "attn_norm", hidden, config)
    context = _attention(part, config, normal, is_global=config.is_global(index))
    hidden = hidden + linear(part, "attn.Wo", context, has_bias=config.has_attention_bias)

    def gated(tokens: Array) -> Array:
        inner, gate = (
            linear(part, f"mlp.{name}", tokens, has_bias=config.has_mlp_bias) for name in ("input", "gate")
        )
        return linear(
            part, "mlp.Wo", ACTIVATIONS[config.activation](inner) * gate, has_bias=config.has_mlp_bias
        )

    normal = _norm(part, "mlp_norm", hidden, config)
    return hidden + feed_forward(normal, 2 * config.intermediate_size, gated)


def _attention(part: Part, config: ModernBertConfig, normal: Array, *, is_global: bool) -> Array:
    query, key, value = (
        linear(part, f"attn.{name}", normal, has_bias=config.has_attention_bias)
        for name in ("query", "key", "value")
    )  # (L, H) each
    heads, theta = config.num_attention_heads, config.global_theta if is_global else config.local_theta
    query, key = turned(query, heads, theta), turned(key, heads, theta)
    return attention(query, key, value, heads, reach=None if is_global else config.local_reach)


def _norm(part: Part, name: str, hidden: Array, config: ModernBertConfig) -> Array:
    return layer_norm(part, name, hidden, config.layer_norm_eps, has_bias=config.has_norm_bias)
