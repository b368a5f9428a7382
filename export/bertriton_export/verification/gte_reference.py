"""GTE and Nomic BERT as classifiers in float64 numpy, written from the models' definitions.

Zhang et al. 2024, https://arxiv.org/abs/2407.19669, and Nussbaum et al. 2024, https://arxiv.org/abs/2402.01613;
gated layers by Shazeer 2020, https://arxiv.org/abs/2002.05202.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton_export.checkpoint import GteConfig
from bertriton_export.verification.bert_reference import WORDS, head_logits
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


def gte_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts.

    Raises:
        TypeError: the checkpoint is of another family.
    """
    config = checkpoint.config
    if not isinstance(config, GteConfig):
        raise TypeError(f"expected a GTE, found {type(config).__name__}")
    part = Part(checkpoint.weights, "bert.")
    words = part.rows(WORDS, [encoding.ids for encoding in encodings])
    states = [_embedded(part, config, *text) for text in zip(words, encodings, strict=True)]  # (L, H) each
    for index in range(config.num_hidden_layers):
        layer = Part(checkpoint.weights, f"bert.encoder.layer.{index}.")
        states = [_layer(layer, config, state) for state in states]
    return head_logits(checkpoint, states)


def _embedded(part: Part, config: GteConfig, words: Array, encoding: Encoding) -> Array:
    if config.type_vocab_size:
        kinds = encoding.type_ids if config.has_segments else [0] * len(encoding.ids)
        words = words + part["embeddings.token_type_embeddings.weight"][kinds]
    return layer_norm(part, "embeddings.LayerNorm", words, config.layer_norm_eps)


def _layer(part: Part, config: GteConfig, hidden: Array) -> Array:
    query, key, value = (
        linear(part, f"attention.self.{name}", hidden, has_bias=config.has_bias)
        for name in ("query", "key", "value")
    )  # (L, H) each
    heads, epsilon = config.num_attention_heads, config.layer_norm_eps
    context = attention(turned(query, heads, config.theta), turned(key, heads, config.theta), value, heads)
    attended = hidden + linear(part, "attention.output.dense", context, has_bias=config.has_bias)
    hidden = layer_norm(part, "attention.output.LayerNorm", attended, epsilon)

    def gated(tokens: Array) -> Array:
        gate, inner = (linear(part, f"mlp.{name}", tokens, has_bias=False) for name in ("input", "gate"))
        return linear(part, "mlp.Wo", ACTIVATIONS[config.activation](gate) * inner, has_bias=config.has_bias)

    outputs = hidden + feed_forward(hidden, 2 * config.intermediate_size, gated)
    return layer_norm(part, "output.LayerNorm", outputs, epsilon)
