"""DeBERTa v2 and v3 as classifiers in float64 numpy, written from the model's definition.

He et al. 2021, https://arxiv.org/abs/2006.03654 and https://arxiv.org/abs/2111.09543; buckets of distances as
in the authors' code, https://github.com/microsoft/DeBERTa.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.checkpoint import CONTENT_TO_POSITION, POSITION_TO_CONTENT, DebertaConfig
from bertriton_export.verification.bert_reference import (
    WORDS,
    behind_attention,
    head_logits,
    queries_keys_values,
)
from bertriton_export.verification.float64 import (
    ACTIVATIONS,
    Part,
    attention,
    columns_of,
    layer_norm,
    linear,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.verification.float64 import Added, Array


def deberta_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts.

    Raises:
        TypeError: the checkpoint is of another family.
    """
    config = checkpoint.config
    if not isinstance(config, DebertaConfig):
        raise TypeError(f"expected a DeBERTa, found {type(config).__name__}")
    whole = Part(checkpoint.weights, "bert.")
    words = whole.rows(WORDS, [encoding.ids for encoding in encodings])  # (L, E) each
    embedded = [_embeddings(whole, config, *text) for text in zip(words, encodings, strict=True)]  # (L, H)
    distances = _embedded_distances(whole, config)
    states = embedded
    for index in range(config.num_hidden_layers):
        layer = Part(checkpoint.weights, f"bert.encoder.layer.{index}.")
        projected = _projected(layer, config, distances)
        states = [_layer(layer, config, state, projected) for state in states]
        if index == 0 and config.conv_kernel_size:
            both = zip(embedded, states, strict=True)
            states = [_convolved(whole, config, before, behind) for before, behind in both]
    return head_logits(checkpoint, states)


def _embeddings(part: Part, config: DebertaConfig, words: Array, encoding: Encoding) -> Array:
    length, hidden = len(words), words
    if config.has_positions:
        hidden = hidden + part["embeddings.position_embeddings.weight"][:length]
    if config.type_vocab_size:
        kinds = encoding.type_ids if config.has_segments else [0] * length
        hidden = hidden + part["embeddings.token_type_embeddings.weight"][kinds]
    if config.embedding_size:
        hidden = hidden @ part["embeddings.embed_proj.weight"].T
    return layer_norm(part, "embeddings.LayerNorm", hidden, config.layer_norm_eps)


def _embedded_distances(part: Part, config: DebertaConfig) -> Array:
    """What stands for each bucket of distances, [2 * span, H]."""
    if not config.is_relative:
        return np.zeros((0, config.hidden_size))
    table = part["encoder.rel_embeddings.weight"]
    return (
        layer_norm(part, "encoder.LayerNorm", table, config.layer_norm_eps)
        if config.norms_distances
        else table
    )


def _projected(part: Part, config: DebertaConfig, distances: Array) -> dict[str, Array]:
    """A layer's keys and queries of distances, kind -> [2 * span, H]."""
    keys, queries = ("key", "query") if config.shares_projections else ("pos_key_proj", "pos_query_proj")
    names = {CONTENT_TO_POSITION: keys, POSITION_TO_CONTENT: queries}
    kinds = config.pos_att_type if config.is_relative else ()
    return {kind: linear(part, f"attention.self.{names[kind]}", distances) for kind in kinds}


def _layer(part: Part, config: DebertaConfig, hidden: Array, kind_to_projected: dict[str, Array]) -> Array:
    query, key, value = queries_keys_values(part, hidden)
    added = _of_distances(config, query, key, kind_to_projected)
    heads = config.num_attention_heads
    context = attention(query, key, value, heads, parts=config.score_parts, added=added)
    return behind_attention(part, config, context, hidden)


def _of_distances(
    config: DebertaConfig, query: Array, key: Array, kind_to_projected: dict[str, Array]
) -> Added:
    """What scores get from distances, for a block of queries and then for a head."""
    places, span, size = np.arange(len(query)), config.span, config.head_size
    pos_key, pos_query = (kind_to_projected.get(kind) for kind in (CONTENT_TO_POSITION, POSITION_TO_CONTENT))

    def added(rows: slice) -> Callable[[int], Array]:
        of_pairs = bucket(config, places[rows, None] - places)  # (B, L), of queries from keys
        row = np.clip(of_pairs + span, 0, 2 * span - 1)

        def of_head(head: int) -> Array:
            own = columns_of(head, size)
            total: Array = np.zeros(row.shape)
            if pos_key is not None:
                total += np.take_along_axis(query[rows, own] @ pos_key[:, own].T, row, axis=1)
            if pos_query is not None:
                total += (key[:, own] @ pos_query[:, own].T)[places, row]
            return np.asarray(total / np.sqrt(size * config.score_parts))

        return of_head

    return added


def bucket(config: DebertaConfig, distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each distance: its own if it is near, one by its logarithm if it is far.

    Logarithms are of single precision in the definition, which decides where a far bucket ends.
    """
    if not config.position_buckets:
        return distance
    middle = config.position_buckets // 2
    magnitude = np.abs(distance)
    far = np.where(magnitude < middle, middle - 1 or 1, magnitude)
    ratio = np.log(np.float32(far / middle)) / np.log(
        np.float32((config.max_relative_positions - 1) / middle)
    )
    by_logarithm = np.ceil(ratio * np.float32(middle - 1)).astype(np.int64) + middle
    return np.where(magnitude <= middle, distance, np.sign(distance) * by_logarithm)


def _convolved(part: Part, config: DebertaConfig, before: Array, behind: Array) -> Array:
    """The first layer's output with a convolution over its input, beyond whose ends there are zeros."""
    kernel = part["encoder.conv.conv.weight"]  # (H, H, K)
    reach = config.conv_kernel_size // 2
    padded = np.pad(before, ((reach, reach), (0, 0)))
    summed = sum(
        padded[shift : shift + len(before)] @ kernel[:, :, shift].T for shift in range(2 * reach + 1)
    )
    active = ACTIVATIONS[config.conv_activation](summed + part["encoder.conv.conv.bias"])
    return layer_norm(part, "encoder.conv.LayerNorm", behind + active, config.layer_norm_eps)
