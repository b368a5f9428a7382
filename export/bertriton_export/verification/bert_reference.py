"""BERT as a classifier in float64 numpy, written from the model's definition, in steps that relatives share.

Devlin et al. 2019, https://arxiv.org/abs/1810.04805.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.checkpoint import ErnieConfig
from bertriton_export.verification.float64 import (
    ACTIVATIONS,
    Part,
    attention,
    feed_forward,
    layer_norm,
    linear,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig, Checkpoint
    from bertriton_export.verification.float64 import Added, Array

WORDS: Final = "embeddings.word_embeddings.weight"


def bert_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts."""
    return head_logits(checkpoint, through_layers(checkpoint, embedded(checkpoint, encodings), bert_layer))


def embedded(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> list[Array]:
    """What stands for the tokens of each text before the first layer, [L, H] each."""
    config, part = checkpoint.config, Part(checkpoint.weights, "bert.")
    sums = summed_embeddings(checkpoint, encodings)
    states = [layer_norm(part, "embeddings.LayerNorm", total, config.layer_norm_eps) for total in sums]
    if config.embedding_size:
        states = [linear(part, "embeddings_project", state) for state in states]
    return states


def summed_embeddings(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> list[Array]:
    """Embeddings of word, position, segment and task, added up for each token, [L, E] each."""
    config, part = checkpoint.config, Part(checkpoint.weights, "bert.")
    words = part.rows(WORDS, [encoding.ids for encoding in encodings])
    return [text + _beside_words(part, config, of) for text, of in zip(words, encodings, strict=True)]


def _beside_words(part: Part, config: BertConfig, encoding: Encoding) -> Array:
    """What is added to the words of a text, [L, E]."""
    total = part["embeddings.position_embeddings.weight"][_places(encoding.ids, config)]
    if config.type_vocab_size:
        kinds = encoding.type_ids if config.has_segments else [0] * len(encoding.ids)
        total += part["embeddings.token_type_embeddings.weight"][kinds]
    if isinstance(config, ErnieConfig) and config.task_type_vocab_size:
        total += part["embeddings.task_type_embeddings.weight"][0]
    return total


def through_layers(
    checkpoint: Checkpoint, states: list[Array], layer: Callable[[Part, BertConfig, Array], Array]
) -> list[Array]:
    """What all layers make of each text, [L, H] each; one layer's weights at a time are in memory."""
    for stored in checkpoint.config.stored_layers:
        part = Part(checkpoint.weights, f"bert.encoder.layer.{stored}.")
        states = [layer(part, checkpoint.config, state) for state in states]
    return states


def bert_layer(part: Part, config: BertConfig, hidden: Array, added: Added | None = None) -> Array:
    """One layer, [L, H] to [L, H]; something may be added to its scores."""
    return behind_attention(part, config, self_attention(part, config, hidden, added), hidden)


def self_attention(part: Part, config: BertConfig, hidden: Array, added: Added | None = None) -> Array:
    """Contexts of one text, [L, H] to [L, H]."""
    parts = queries_keys_values(part, hidden)
    return attention(*parts, config.num_attention_heads, added=added)


def queries_keys_values(part: Part, hidden: Array) -> tuple[Array, Array, Array]:
    """The three that attention is made of, [L, H] each."""
    query, key, value = (linear(part, f"attention.self.{name}", hidden) for name in ("query", "key", "value"))
    return query, key, value


def behind_attention(part: Part, config: BertConfig, context: Array, hidden: Array) -> Array:
    """What a layer makes of its attention's contexts and of what came into it, [L, H] each."""
    attended = linear(part, "attention.output.dense", context) + hidden
    hidden = layer_norm(part, "attention.output.LayerNorm", attended, config.layer_norm_eps)
    outputs = two_linears(part, config, hidden) + hidden
    return layer_norm(part, "output.LayerNorm", outputs, config.layer_norm_eps)


def two_linears(part: Part, config: BertConfig, hidden: Array) -> Array:
    """A layer's feed-forward part, [L, H] to [L, H]."""

    def of_block(tokens: Array) -> Array:
        wide = ACTIVATIONS[config.activation](linear(part, "intermediate.dense", tokens))
        return linear(part, "output.dense", wide)

    return feed_forward(hidden, config.intermediate_size, of_block)


def head_logits(checkpoint: Checkpoint, states: Sequence[Array]) -> Array:
    """Logits [texts, labels] from the first token of what the encoder gives for each text [L, H]."""
    part = Part(checkpoint.weights, "")
    first_tokens = np.stack([state[0] for state in states])  # (R, H)
    dense = linear(part, "bert.pooler.dense", first_tokens)
    return linear(part, "classifier", ACTIVATIONS[checkpoint.config.head_activation](dense))  # (R, C)


def _places(ids: list[int], config: BertConfig) -> list[int]:
    """Positions from 0; or as fairseq's RoBERTa counts them, where padding stays at its own id."""
    if config.padding_id is None:
        return list(range(len(ids)))
    places, count = [], config.padding_id
    for token in ids:
        count += token != config.padding_id
        places.append(count if token != config.padding_id else config.padding_id)
    return places
