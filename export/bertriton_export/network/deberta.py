"""DeBERTa v2 and v3 for sequence classification as an ONNX graph without padding (see `bert` for the rest).

He et al. 2021, https://arxiv.org/abs/2006.03654 and https://arxiv.org/abs/2111.09543. It differs from BERT in
attention, which adds to a score what query and key make of their distance (see `disentangled`); most have no
table of positions and no token types; the largest have a convolution beside their first layer.

Attention is a loop over windows on every machine: kernels for ragged rows know of no distances.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from bertriton_export.checkpoint import CONTENT_TO_POSITION, POSITION_TO_CONTENT, DebertaConfig
from bertriton_export.network.attention import LoopAttention
from bertriton_export.network.bert import ACTIVATION_TO_OP, BertGraph
from bertriton_export.network.disentangled import column_counts, columns, distance_table
from bertriton_export.network.linear import to_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network.attention import Attention
    from bertriton_export.network.bert import GraphOptions
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows

# No position is so far from any other.
_NOWHERE = -(2**30)


class DisentangledAttention(LoopAttention):
    """Attention in which a score depends on the distance of the two tokens; N heads of d."""

    def __init__(self, g: GraphBuilder, config: DebertaConfig, windows: Windows, dtype: Float) -> None:
        super().__init__(g, config, windows, dtype)
        self._config = config
        self.tables: Mapping[str, str] = {}  # one layer's, see `with_tables`
        self._attributes["scale"] = float(1 / np.sqrt(config.score_parts * config.head_size))
        if config.pos_att_type and config.is_relative:
            with g.scope("distances"):
                self._columns = g.constant(columns(config).tolist(), np.int32)  # (2P - 1)
                self._counts = g.constant(column_counts(config).tolist())  # (P + 1)
                self._index = self._index_of_longest(windows)

    def _index_of_longest(self, windows: Windows) -> str:
        """The column for each pair of tokens of the longest window, [1, N, L, L].

        Others read its corner.
        """
        g, zero = self._g, self._config.longest_text - 1  # where distance 0 stands among the columns
        longest = g.op("ReduceMax", g.op("Sub", windows.ends, windows.starts), keepdims=0)
        places = g.op("Range", g.constant(0), longest, g.constant(1))
        queries = g.op("Add", g.op("Unsqueeze", places, g.constant([1])), g.constant(zero))  # (L, 1)
        index = g.op("Gather", self._columns, g.op("Sub", queries, places), axis=0)  # (L, L)
        length = g.op("Shape", places)
        shape = g.op("Concat", g.constant([1, self._heads]), length, length, axis=0)
        return g.op("Expand", index, shape)

    def with_tables(self, tables: Mapping[str, str]) -> DisentangledAttention:
        """The same with one layer's tables of distances, kind -> value of the graph.

        They are [N, d, columns]; but of the last layer position to content is [columns, H].
        """
        attention = copy.copy(self)
        attention.tables = tables
        return attention

    def _attended(self, query: str, key: str, value: str, *, is_alone: bool) -> str:
        g, parts = self._g, []
        if self.tables:
            length = self._length(key)
            corner = g.op("Concat", length, length, axis=0)
            index = self._index if is_alone else self._corner(corner)
            count = g.op("Gather", self._counts, length, axis=0)
        if CONTENT_TO_POSITION in self.tables:
            parts.append(self._of_distances(query, CONTENT_TO_POSITION, index, count))
        if POSITION_TO_CONTENT in self.tables:
            of_keys = self._of_distances(key, POSITION_TO_CONTENT, index, count)  # keys first
            parts.append(g.op("Transpose", of_keys, perm=[0, 1, 3, 2]))
        return self._scored(query, key, value, self._sum(parts))

    def _attended_of_first(self, query: str, key: str, value: str, *, is_alone: bool) -> str:
        del is_alone
        g, parts = self._g, []
        length = self._length(key) if self.tables else ""
        if CONTENT_TO_POSITION in self.tables:
            index = self._corner(g.op("Concat", g.constant([1]), length, axis=0))  # (1, N, 1, L)
            count = g.op("Gather", self._counts, length, axis=0)
            parts.append(self._of_distances(query, CONTENT_TO_POSITION, index, count))
        if POSITION_TO_CONTENT in self.tables:
            parts.append(self._of_distances_to_first(key, length))
        return self._scored(query, key, value, self._sum(parts))

    def _of_distances(self, hidden: str, kind: str, index: str, count: str) -> str:
        """What queries or keys (1, L, H) make of their distance from each other token, [1, N, L, L]."""
        g = self._g
        heads = g.op("Transpose", self._heads_apart(hidden), perm=[0, 2, 1, 3])  # (1, N, L, d)
        table = g.op("Slice", self.tables[kind], g.constant([0]), count, g.constant([2]))
        return g.op("GatherElements", g.op("MatMul", heads, table), index, axis=3)

    def _of_distances_to_first(self, key: str, length: str) -> str:
        """What keys (1, L, H) make of the first token's distance from them, [1, N, 1, L]."""
        g, zero = self._g, self._config.longest_text - 1
        behind = g.op("Add", length, g.constant([zero]))
        columns_of_keys = g.op("Slice", self._columns, g.constant([zero]), behind)  # (L)
        table = g.op("Gather", self.tables[POSITION_TO_CONTENT], columns_of_keys, axis=0)  # (L, H)
        products = self._heads_apart(g.op("Mul", key, table))  # (1, L, N, d)
        sums = g.op("ReduceSum", products, g.constant([3]), keepdims=0)  # (1, L, N)
        return g.op("Unsqueeze", g.op("Transpose", sums, perm=[0, 2, 1]), g.constant([2]))

    def _heads_apart(self, hidden: str) -> str:
        shape = self._g.constant([0, 0, self._heads, self._config.head_size])
        return self._g.op("Reshape", hidden, shape)

    def _sum(self, parts: list[str]) -> str:
        """Of what belongs to the scores, [1, N, L, L]; nothing of nothing."""
        return self._g.op("Add", *parts) if len(parts) > 1 else "".join(parts)

    def _corner(self, size: str) -> str:
        """Of the longest window's index the first rows and columns."""
        g = self._g
        return g.op("Slice", self._index, g.constant([0, 0]), size, g.constant([2, 3]))


class DebertaGraph(BertGraph):
    """One method a block, where it differs from BERT's."""

    _config: DebertaConfig

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        super().__init__(checkpoint, g, options)
        self._marked_positions = ""

    def _attentions(self, windows: Windows) -> Sequence[Attention]:
        shared = DisentangledAttention(self._g, self._config, windows, self._options.dtype)
        layers = range(self._config.num_hidden_layers)
        return [shared.with_tables(self._tables(f"bert.encoder.layer.{index}")) for index in layers]

    def _tables(self, layer: str) -> dict[str, str]:
        config = self._config
        if not config.is_relative:
            return {}
        kind_to_table = {}
        for kind in config.pos_att_type:
            table = distance_table(config, self._weights, f"{layer}.attention.self", kind)
            if kind == CONTENT_TO_POSITION or layer != self._last:
                by_head = table.reshape(len(table), config.num_attention_heads, config.head_size)
                table = np.ascontiguousarray(by_head.transpose(1, 2, 0))
            kind_to_table[kind] = self._stored(f"{layer}.attention.self.{kind}", table)
        return kind_to_table

    @property
    def _last(self) -> str:
        return f"bert.encoder.layer.{self._config.num_hidden_layers - 1}"

    def _embeddings(self, ids: str, types: str, marked_positions: str) -> str:
        g, config, prefix = self._g, self._config, "bert.embeddings"
        self._marked_positions = marked_positions
        with g.scope("embeddings"):
            hidden = g.op("Gather", self._weight(f"{prefix}.word_embeddings.weight"), ids, axis=0)
            if config.has_positions:
                places = self._places(ids, marked_positions)
                hidden = g.op("Add", hidden, g.op("Gather", self._position_table(), places, axis=0))
            if config.has_segments:
                table = self._weight(f"{prefix}.token_type_embeddings.weight")
                hidden = g.op("Add", hidden, g.op("Gather", table, types, axis=0))
            elif config.type_vocab_size and not config.has_positions:  # or they are part of the positions
                name = f"{prefix}.token_type_embeddings.weight"
                hidden = g.op("Add", hidden, self._stored(name, self._weights[name][:1]))
            if config.embedding_size:
                hidden = self._float.product(f"{prefix}.embed_proj", hidden)
            return self._norm(f"{prefix}.LayerNorm", hidden)

    def _layer(self, name: str, hidden: str, attention: Attention) -> str:
        return self._convolved(name, hidden, super()._layer(name, hidden, attention))

    def _last_layer(self, name: str, hidden: str, attention: Attention, windows: Windows) -> str:
        firsts = super()._last_layer(name, hidden, attention, windows)
        return self._convolved(name, hidden, firsts, windows)

    def _queries_keys_values(self, name: str, asking: str, hidden: str) -> tuple[str, str, str]:
        # What a key's bias adds to a score differs from distance to distance.
        query, key = self._linear(f"{name}.query", asking), self._linear(f"{name}.key", hidden)
        return query, key, self._product(f"{name}.value", hidden)

    def _convolved(self, name: str, hidden: str, skip: str, windows: Windows | None = None) -> str:
        """What the first layer gives, with a convolution of what it reads; of first tokens, with windows."""
        g, config = self._g, self._config
        if not config.conv_kernel_size or name != "bert.encoder.layer.0":
            return skip
        with g.scope("convolution"):
            neighbours = self._neighbours(hidden, config.conv_kernel_size)  # (T, K * H)
            if windows:
                neighbours = windows.firsts(g, neighbours)
            weight = self._weights["bert.encoder.conv.conv.weight"]  # (H, H, K)
            kernel = weight.transpose(2, 1, 0).reshape(-1, config.hidden_size)
            names = [f"bert.encoder.conv.conv.{part}" for part in ("weight", "bias")]
            weights = [self._stored(names[0], kernel), self._weight(names[1])]
            active = g.op(ACTIVATION_TO_OP[config.conv_activation], g.op("Gemm", neighbours, *weights))
            return self._norm("bert.encoder.conv.LayerNorm", g.op("Add", skip, active))

    def _neighbours(self, hidden: str, kernel_size: int) -> str:
        """Each token between those around it in its window, which has zeros on both sides, [T, K * H]."""
        g, reach = self._g, kernel_size // 2
        positions = g.op("Max", self._marked_positions, g.constant(0, np.int32))
        nowhere = g.constant([_NOWHERE] * reach, np.int32)
        around = g.op("Concat", nowhere, positions, nowhere, axis=0)
        padding = g.constant([reach, 0, reach, 0])
        padded = g.op("Pad", hidden, padding)  # (T + 2 * reach, H)
        nothing = g.constant(0, self._options.dtype)
        parts = []
        for start in range(kernel_size):
            end = g.constant([start - kernel_size + 1 or np.iinfo(np.int64).max])
            position, neighbour = (
                g.op("Slice", value, g.constant([start]), end, g.constant([0])) for value in (around, padded)
            )
            expected = g.op("Add", positions, g.constant(start - reach, np.int32))
            is_near = g.op("Unsqueeze", g.op("Equal", position, expected), g.constant([1]))
            parts.append(g.op("Where", is_near, neighbour, nothing))
        return g.op("Concat", *parts, axis=1)

    def _stored(self, name: str, array: NDArray[np.float32]) -> str:
        return self._g.weight(name, to_float(name, array, self._options.dtype))
