"""DeBERTa v2 and v3 as an ONNX graph that TensorRT builds an engine from (see `graph` for the rest).

Attention adds to a score what query and key make of their distance, see `network.disentangled`. That keeps
TensorRT from making it one kernel; all operators are plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bertriton import contract
from bertriton_export.checkpoint import CONTENT_TO_POSITION, POSITION_TO_CONTENT, DebertaConfig
from bertriton_export.network import columns, distance_table, to_float
from bertriton_export.targets.tensorrt.graph import TensorrtGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import GraphBuilder, GraphOptions

_FIRST_LAYER = "bert.encoder.layer.0"


class DebertaTensorrtGraph(TensorrtGraph):
    """One method a block, where it differs from BERT's."""

    _config: DebertaConfig

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        super().__init__(checkpoint, g, options)
        self._is_padding = ""  # BOOL [R, L]
        self._index = ""  # INT32 [R, N, L, L], the column of `distance_table` for each pair of tokens

    def _embeddings(self, ids: str, types: str, positions: str) -> str:
        g, config, prefix = self._g, self._config, "bert.embeddings"
        with g.scope("distances"):
            self._is_padding = g.op("Equal", positions, g.constant(contract.PADDING_POSITION, np.int32))
            if config.is_relative and config.pos_att_type:
                self._index = self._index_of_pairs(ids)
        with g.scope("embeddings"):
            hidden = self._rows(f"{prefix}.word_embeddings.weight", ids)
            if config.has_positions:
                added = self._rows(f"{prefix}.position_embeddings.weight", positions)
                hidden = g.op("Add", hidden, added)
            if config.type_vocab_size:
                # Where all tokens are of the first kind, whatever the input says, there is one row to choose.
                name = f"{prefix}.token_type_embeddings.weight"
                kinds = self._weights[name] if config.has_segments else self._weights[name][:1]
                hidden = g.op("Add", hidden, self._rows(name, types, kinds))
            if config.embedding_size:
                hidden = self._widened(self._float.product(f"{prefix}.embed_proj", self._narrowed(hidden)))
            return self._norm(f"{prefix}.LayerNorm", hidden)

    def _index_of_pairs(self, ids: str) -> str:
        g, config = self._g, self._config
        shape = g.op("Shape", ids)
        rows, length = (g.op("Slice", shape, g.constant([axis]), g.constant([axis + 1])) for axis in (0, 1))
        places = g.op("Range", g.constant(0), g.op("Squeeze", length), g.constant(1))  # (L)
        queries = g.op("Add", g.op("Unsqueeze", places, g.constant([1])), g.constant(config.longest_text - 1))
        pairs = g.op("Sub", queries, places)  # (L, L), distances from 0 up
        index = g.op("Gather", g.constant(columns(config).tolist(), np.int32), pairs, axis=0)
        heads = g.constant([config.num_attention_heads])
        return g.op("Expand", index, g.op("Concat", rows, heads, length, length, axis=0))

    def _self_attention(self, name: str, hidden: str, mask: str) -> str:
        g, config = self._g, self._config
        # What a key's bias adds to a score differs from distance to distance.
        query, key, value = (
            self._heads(self._linear(f"{name}.{part}", hidden), perm=[0, 2, 1, 3])
            for part in ("query", "key", "value")
        )  # (R, N, L, d) each
        scale = g.constant(1 / np.sqrt(config.score_parts * config.head_size), self._dtype)
        turned = g.op("Transpose", key, perm=[0, 1, 3, 2])
        scores = g.op("MatMul", g.op("Mul", query, scale), turned)  # (R, N, L, L)
        if self._index and CONTENT_TO_POSITION in config.pos_att_type:
            scores = g.op("Add", scores, self._of_distances(name, query, CONTENT_TO_POSITION))
        if self._index and POSITION_TO_CONTENT in config.pos_att_type:
            of_keys = self._of_distances(name, key, POSITION_TO_CONTENT)  # keys first
            scores = g.op("Add", scores, g.op("Transpose", of_keys, perm=[0, 1, 3, 2]))
        attended = g.op("Softmax", g.op("Add", scores, mask), axis=-1)
        together = g.op("Transpose", g.op("MatMul", attended, value), perm=[0, 2, 1, 3])
        return g.op("Reshape", together, g.constant([0, 0, config.hidden_size]))  # (R, L, H)

    def _of_distances(self, name: str, heads: str, kind: str) -> str:
        """What queries or keys make of their distance from each other token, [R, N, L, L]."""
        g, config = self._g, self._config
        table = distance_table(config, self._weights, name, kind)
        by_head = table.reshape(len(table), config.num_attention_heads, config.head_size).transpose(1, 2, 0)
        products = g.op("MatMul", heads, self._stored(f"{name}.{kind}", by_head))
        return g.op("GatherElements", products, self._index, axis=3)

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        behind = super()._layer(name, hidden, mask)
        if name != _FIRST_LAYER or not self._config.conv_kernel_size:
            return behind
        return self._convolved(hidden, behind)

    def _convolved(self, hidden: str, behind: str) -> str:
        """What the first layer gives, with a convolution of what it reads, where padding is zeros."""
        g, config, name = self._g, self._config, "bert.encoder.conv"
        reach = config.conv_kernel_size // 2
        with g.scope("convolution"):
            is_padding = g.op("Unsqueeze", self._is_padding, g.constant([2]))
            tokens = g.op("Where", is_padding, g.constant(0.0, self._dtype), hidden)
            weights = (
                self._stored(f"{name}.conv.{part}", self._weights[f"{name}.conv.{part}"])
                for part in ("weight", "bias")
            )
            turned = g.op("Transpose", tokens, perm=[0, 2, 1])
            sums = g.op("Transpose", g.op("Conv", turned, *weights, pads=[reach, reach]), perm=[0, 2, 1])
            active = self._activated(config.conv_activation, sums, self._dtype)
            return self._add_and_norm(f"{name}.LayerNorm", active, behind)

    def _narrowed(self, value: str) -> str:
        return self._cast(value, self._dtype)

    def _stored(self, name: str, array: NDArray[np.float32]) -> str:
        return self._g.weight(name, to_float(name, array, self._dtype))
