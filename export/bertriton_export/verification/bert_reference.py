"""BERT and its relatives as classifiers in float64 numpy, written from the model's definition.

Devlin et al. 2019, https://arxiv.org/abs/1810.04805.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.checkpoint import ErnieConfig, MPNetConfig, XLMRobertaXLConfig
from bertriton_export.verification.float64 import (
    ACTIVATIONS,
    Part,
    attention,
    feed_forward,
    layer_norm,
    linear,
)

WORDS: Final = "embeddings.word_embeddings.weight"

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig, Checkpoint
    from bertriton_export.verification.float64 import Array


def bert_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts."""
    config = checkpoint.config
    part = Part(checkpoint.weights, "bert.")
    words = part.rows(WORDS, [encoding.ids for encoding in encodings])  # (L, H) each
    states = [_embeddings(part, config, *text) for text in zip(words, encodings, strict=True)]  # (L, H) each
    distances = _distance_table(part, config)
    for index in config.stored_layers:
        layer = Part(checkpoint.weights, f"bert.encoder.layer.{index}.")
        states = [_layer(layer, config, state, distances) for state in states]
    return head_logits(Part(checkpoint.weights, ""), config, states)


def head_logits(part: Part, config: BertConfig, states: Sequence[Array]) -> Array:
    """Logits [texts, labels] from the first token of what the encoder gives for each text [L, H]."""
    first_tokens = np.stack([state[0] for state in states])  # (R, H)
    if isinstance(config, XLMRobertaXLConfig):
        first_tokens = layer_norm(part, "bert.encoder.LayerNorm", first_tokens, config.layer_norm_eps)
    pooled = ACTIVATIONS[config.head_activation](linear(part, "bert.pooler.dense", first_tokens))
    return linear(part, "classifier", pooled)  # (R, C)


def behind_attention(part: Part, config: BertConfig, context: Array, hidden: Array) -> Array:
    """What a layer makes of its attention's contexts and of what came into it, [L, H] each."""
    attended = linear(part, "attention.output.dense", context) + hidden
    hidden = layer_norm(part, "attention.output.LayerNorm", attended, config.layer_norm_eps)
    narrow = feed_forward(part, hidden, config.activation, ("intermediate.dense", "output.dense"))
    return layer_norm(part, "output.LayerNorm", narrow + hidden, config.layer_norm_eps)


def _embeddings(part: Part, config: BertConfig, words: Array, encoding: Encoding) -> Array:
    hidden = words + part["embeddings.position_embeddings.weight"][_places(encoding.ids, config)]
    if config.type_vocab_size:
        kinds = encoding.type_ids if config.has_segments else [0] * len(encoding.ids)
        hidden += part["embeddings.token_type_embeddings.weight"][kinds]
    if isinstance(config, ErnieConfig) and config.task_type_vocab_size:
        hidden = hidden + part["embeddings.task_type_embeddings.weight"][0]
    if not isinstance(config, XLMRobertaXLConfig):
        hidden = layer_norm(part, "embeddings.LayerNorm", hidden, config.layer_norm_eps)
    return linear(part, "embeddings_project", hidden) if config.embedding_size else hidden


def _places(ids: list[int], config: BertConfig) -> list[int]:
    """Positions from 0; or as fairseq's RoBERTa counts them, where padding stays at its own id."""
    if config.padding_id is None:
        return list(range(len(ids)))
    places, count = [], config.padding_id
    for token in ids:
        count += token != config.padding_id
        places.append(count if token != config.padding_id else config.padding_id)
    return places


def _distance_table(part: Part, config: BertConfig) -> Array | None:
    """What a bucket of distances adds to the scores of each head, [buckets, N]."""
    if not isinstance(config, MPNetConfig):
        return None
    return part["encoder.relative_attention_bias.weight"]


def _bucket(ahead: int) -> int:
    """MPNet's bucket of a key so many places ahead: one a place when near, then two an octave."""
    distance, side = abs(ahead), 16 if ahead > 0 else 0
    return side + min(distance, 8 + max(0, (distance**2).bit_length() - 7), 15)


def _layer(part: Part, config: BertConfig, hidden: Array, distances: Array | None) -> Array:
    if isinstance(config, XLMRobertaXLConfig):
        return _layer_behind_norms(part, config, hidden)
    return behind_attention(part, config, _self_attention(part, config, hidden, distances), hidden)


def _layer_behind_norms(part: Part, config: BertConfig, hidden: Array) -> Array:
    """XLM-RoBERTa-XL's order of things (https://arxiv.org/abs/2105.00572)."""
    normal = layer_norm(part, "attention.output.LayerNorm", hidden, config.layer_norm_eps)
    context = _self_attention(part, config, normal, None)
    hidden = hidden + linear(part, "attention.output.dense", context)
    normal = layer_norm(part, "output.LayerNorm", hidden, config.layer_norm_eps)
    return hidden + feed_forward(part, normal, config.activation, ("intermediate.dense", "output.dense"))


def _self_attention(part: Part, config: BertConfig, hidden: Array, distances: Array | None) -> Array:
    query, key, value = (
        linear(part, f"attention.self.{name}", hidden) for name in ("query", "key", "value")
    )  # (L, H) each
    added = None if distances is None else _of_distances(config, distances, len(hidden))
    return attention(query, key, value, config.num_attention_heads, added=added)


def _of_distances(
    config: BertConfig, distances: Array, length: int
) -> Callable[[slice], Callable[[slice], Array]]:
    """What MPNet adds to scores behind their scaling, undone here: for queries, then a head's columns."""
    places = np.arange(length)
    bucket_of = np.array([_bucket(number - length) for number in range(2 * length)])

    def added(rows: slice) -> Callable[[slice], Array]:
        buckets = bucket_of[places - places[rows, None] + length]  # (B, L)

        def of_head(own: slice) -> Array:
            return np.asarray(distances[buckets, own.start // config.head_size] * np.sqrt(config.head_size))

        return of_head

    return added
