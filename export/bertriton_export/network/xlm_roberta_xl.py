"""XLM-RoBERTa-XL for sequence classification: BERT's graph with each LayerNorm before its block.

Goyal et al. 2021, https://arxiv.org/abs/2105.00572. What comes out of a block is added to what went in, and
only the last LayerNorm reads the sum of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton_export.network.bert import BertGraph

if TYPE_CHECKING:
    from bertriton_export.network.attention import Attention
    from bertriton_export.network.windows import Windows


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
