"""Relatives of BERT whose graphs differ in few blocks: MPNet and XLM-RoBERTa-XL.

MPNet (Song et al. 2020, https://arxiv.org/abs/2004.09297): to the score of two tokens each head adds a
number, which depends on their distance alone and is the same in all layers. Distances share numbers by T5's
buckets (Raffel et al. 2019, https://arxiv.org/abs/1910.10683): one for each near distance, and wider ones
farther away, on either side.

XLM-RoBERTa-XL (Goyal et al. 2021, https://arxiv.org/abs/2105.00572): each LayerNorm stands before its block.
What comes out of a block is added to what went in, and only the last LayerNorm reads the sum of all.
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


class XLMRobertaXLGraph(BertGraph):
    """The blocks whose order differs."""

    def _embedded(self, words: str, added: str) -> str:
        return self._g.op("Add", words, added)

    def _layer(self, name: str, hidden: str, attention: Attention) -> str:
        with self._g.scope("attention"):
            normal = self._norm(f"{name}.attention.output.LayerNorm", hidden)
            parts = self._queries_keys_values(f"{name}.attention.self", normal, normal)
            context = attention.context(*parts)
        return self._behind_attention(name, context, hidden)

    def _last_layer(self, name: str, hidden: str, attention: Attention, windows: Windows) -> str:
        with self._g.scope("attention"):
            normal = self._norm(f"{name}.attention.output.LayerNorm", hidden)
            asking = attention.queries_of_first(normal, windows.firsts(self._g, normal))
            parts = self._queries_keys_values(f"{name}.attention.self", asking, normal)
            context = attention.context_of_first(*parts)
        return self._behind_attention(name, context, windows.firsts(self._g, hidden))

    def _behind_attention(self, name: str, context: str, hidden: str) -> str:
        g = self._g
        with g.scope("attention"):
            bias = self._output_bias(f"{name}.attention")
            attended = self._linear(f"{name}.attention.output.dense", context, bias)
            hidden = g.op("Add", attended, hidden)
        with g.scope("intermediate"):
            normal = self._norm(f"{name}.output.LayerNorm", hidden)
            wide = self._activated(self._config.activation, f"{name}.intermediate.dense", normal)
        with g.scope("output"):
            return g.op("Add", self._linear(f"{name}.output.dense", wide), hidden)

    def _pooler(self, firsts: str) -> str:
        return super()._pooler(self._norm("bert.encoder.LayerNorm", firsts))


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
