"""MPNet for sequence classification: BERT's graph with scores that know the tokens' distance.

Song et al. 2020, https://arxiv.org/abs/2004.09297. To the score of two tokens each head adds a number, which
depends on their distance alone and is the same in all layers. Distances share numbers by T5's buckets (Raffel
et al. 2019, https://arxiv.org/abs/1910.10683): one for each near distance, and wider ones farther away, on
either side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_export.network.bert import BertGraph
from bertriton_export.network.linear import to_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import BertConfig, Weights
    from bertriton_export.network.attention import Attention
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows

_BUCKETS_OF_A_SIDE: Final = 16
_NEAR: Final = 8  # distances below it have a bucket each
_FARTHEST: Final = 128  # distances from it on share one

_TABLE: Final = "bert.encoder.relative_attention_bias.weight"


class MPNetGraph(BertGraph):
    """The one block that differs from BERT's."""

    def _attentions(self, windows: Windows) -> Sequence[Attention]:
        with self._g.scope("bias"):
            bias = relative_bias(self._g, self._config, self._weights, self._options.dtype)
        return [attention.biased(bias) for attention in super()._attentions(windows)]


def relative_bias(g: GraphBuilder, config: BertConfig, weights: Weights, dtype: Float) -> str:
    """A weight [1, N, P, P] of the graph: what is added to the scores of each head, by the tokens' places."""
    places = np.arange(config.longest_text)
    buckets = _buckets(places - places[:, None])  # (P, P) of queries and keys
    table = np.ascontiguousarray(weights[_TABLE][buckets].transpose(2, 0, 1))[None]
    return g.weight(f"{_TABLE}.places", to_float(_TABLE, table, dtype))


def _buckets(ahead: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of keys so many places ahead of their query."""
    distance = np.abs(ahead)
    octaves = np.log2(np.maximum(distance, 1) / _NEAR)
    buckets_of_an_octave = (_BUCKETS_OF_A_SIDE - _NEAR) / np.log2(_FARTHEST / _NEAR)
    far = _NEAR + np.floor(octaves * buckets_of_an_octave).astype(np.int64)
    of_a_side = np.where(distance < _NEAR, distance, np.minimum(far, _BUCKETS_OF_A_SIDE - 1))
    return of_a_side + np.where(ahead > 0, _BUCKETS_OF_A_SIDE, 0)
