"""MPNet as a classifier in float64 numpy: BERT with a number added to each score, by the tokens' distance.

Song et al. 2020, https://arxiv.org/abs/2004.09297; buckets of distances by Raffel et al. 2019,
https://arxiv.org/abs/1910.10683.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.verification.bert_reference import bert_layer, embedded, head_logits, through_layers
from bertriton_export.verification.float64 import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig, Checkpoint
    from bertriton_export.verification.float64 import Added, Array


def mpnet_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts."""
    table = Part(checkpoint.weights, "bert.encoder.")["relative_attention_bias.weight"]  # (buckets, N)

    def layer(part: Part, config: BertConfig, hidden: Array) -> Array:
        return bert_layer(part, config, hidden, _of_distances(table, len(hidden)))

    return head_logits(checkpoint, through_layers(checkpoint, embedded(checkpoint, encodings), layer))


def _of_distances(table: Array, length: int) -> Added:
    """What scores of a text get from distances, for a block of queries and then for a head."""
    places = np.arange(length)
    of_distances = np.array([_bucket(ahead) for ahead in range(-length, length)])

    def added(rows: slice) -> Callable[[int], Array]:
        buckets = of_distances[places - places[rows, None] + length]  # (B, L)
        return lambda head: table[buckets, head]

    return added


def _bucket(ahead: int) -> int:
    """The bucket of a key so many places ahead: one a place when near, then two an octave."""
    distance, side = abs(ahead), 16 if ahead > 0 else 0
    return side + min(distance, 8 + max(0, (distance**2).bit_length() - 7), 15)
