"""How far tokens are from each other, as DeBERTa's attention knows it.

He et al. 2021, https://arxiv.org/abs/2006.03654. A score adds to query times key what the query makes of the
distance (content to position) and what the key makes of it (position to content):

    score[i, j] = (q[i] . k[j]  +  q[i] . pos_key[b]  +  k[j] . pos_query[b]) / sqrt(parts * d)
    b = bucket(i - j)

`pos_key` and `pos_query` are projections of one table of distances. No text has a part in them, so they are
multiplied out when the graph is made. A graph multiplies all queries with all rows of `pos_key`, and takes
each pair's product from there by index. Rows lie by growing distance, 0, 1, -1, 2, -2 and so on: so a short
text needs the first few alone, and the index of a distance is the same for texts of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.checkpoint import CONTENT_TO_POSITION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import DebertaConfig, Weights


def buckets(config: DebertaConfig) -> NDArray[np.int64]:
    """The bucket of each distance from -(P-1) to P-1 for P positions, from -span to span, [2P - 1].

    Near distances have one each; beyond half of the buckets these grow with the logarithm of the distance.
    In single precision, as Transformers computes them: a distance on the border of two is in the same one.
    """
    furthest = config.longest_text - 1
    distances = np.arange(-furthest, furthest + 1)
    if config.position_buckets:
        middle, one = config.position_buckets // 2, np.float32(1)
        far = np.maximum(np.abs(distances), middle).astype(np.float32)
        last = np.log(np.float32((config.max_relative_positions - 1) / middle))
        share = np.log(far / np.float32(middle)) / last  # of the way to the furthest distance, as logarithms
        logarithmic = np.ceil(share * np.float32(middle - one)).astype(np.int64) + middle
        distances = np.where(np.abs(distances) <= middle, distances, np.sign(distances) * logarithmic)
    return np.clip(distances, -config.span, config.span)


def columns(config: DebertaConfig) -> NDArray[np.int32]:
    """The row of `distance_table` for each distance from -(P-1) to P-1, [2P - 1]."""
    bucket = buckets(config)
    return np.where(bucket > 0, 2 * bucket - 1, -2 * bucket).astype(np.int32)


def column_counts(config: DebertaConfig) -> NDArray[np.int64]:
    """How many rows of `distance_table` a text of 0, 1, 2 … P tokens needs, [P + 1]."""
    from_the_last = columns(config)[: config.longest_text]  # distances -(P-1) to 0
    return np.concatenate([[0], from_the_last[::-1] + 1]).astype(np.int64)


def distance_table(config: DebertaConfig, weights: Weights, attention: str, kind: str) -> NDArray[np.float32]:
    """`pos_key` or `pos_query` of one layer, divided as its scores are, [2 * span + 1, H].

    Args:
        config: of the checkpoint.
        weights: of the checkpoint.
        attention: the layer's, as `bert.encoder.layer.0.attention.self`.
        kind: content to position, or position to content. Its rows are for the key's distance from the query,
            not the query's from the key, so that one index fits both.
    """
    is_key, span = kind == CONTENT_TO_POSITION, config.span
    shared, own = ("key", "pos_key_proj") if is_key else ("query", "pos_query_proj")
    name = f"{attention}.{shared if config.shares_projections else own}"
    table = _embedded_distances(config, weights) @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    order = np.arange(2 * span + 1)
    bucket = np.where(order % 2, (order + 1) // 2, -(order // 2))  # 0, 1, -1, 2, -2 …
    rows = np.clip(span + (bucket if is_key else -bucket), 0, 2 * span - 1)
    scale = np.sqrt(config.score_parts * config.head_size)
    return np.asarray(table[rows] / scale, np.float32)


def _embedded_distances(config: DebertaConfig, weights: Weights) -> NDArray[np.float32]:
    """The table of distances that all layers project, [2 * span, H]."""
    table = weights["bert.encoder.rel_embeddings.weight"]
    if not config.norms_distances:
        return table
    norm = {part: weights[f"bert.encoder.LayerNorm.{part}"] for part in ("weight", "bias")}
    centred = table - table.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(config.layer_norm_eps))
    return np.asarray(centred / spread * norm["weight"] + norm["bias"])
