"""GTE and Nomic BERT for sequence classification: BERT's graph with rotary positions and gated layers.

Zhang et al. 2024, https://arxiv.org/abs/2407.19669, and Nussbaum et al. 2024, https://arxiv.org/abs/2402.01613.
Positions are no embeddings: queries and keys are turned (see `modernbert`). Behind attention a linear layer
is gated by another that went through the activation function. Nomic BERT has no biases in its layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.network.bert import ACTIVATION_TO_OP, BertGraph
from bertriton_export.network.modernbert import Rotary, rotary_positions, rotary_tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import BertConfig, GteConfig

_LINEARS_OF_A_LAYER: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "mlp.input",
    "mlp.gate",
    "mlp.Wo",
)


def gte_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    layers = range(config.num_hidden_layers)
    return [f"bert.encoder.layer.{index}.{part}" for index in layers for part in _LINEARS_OF_A_LAYER]


class GteGraph(BertGraph):
    """The blocks that differ from BERT's."""

    _config: GteConfig
    _rotary: Rotary

    def _encoder_linears(self) -> list[str]:
        return gte_linears(self._config)

    def _embeddings(self, ids: str, types: str, marked_positions: str) -> str:
        g, config, prefix = self._g, self._config, "bert.embeddings"
        with g.scope("rotary"):
            positions = rotary_positions(g, marked_positions)
            self._rotary = Rotary(
                g, positions, rotary_tables(config, config.theta), "rotary", self._options.dtype
            )
        with g.scope("embeddings"):
            hidden = g.op("Gather", self._weight(f"{prefix}.word_embeddings.weight"), ids, axis=0)
            if config.type_vocab_size:
                table = self._weight(f"{prefix}.token_type_embeddings.weight")
                kinds = types if config.has_segments else g.constant(0)
                hidden = g.op("Add", hidden, g.op("Gather", table, kinds, axis=0))
            return self._norm(f"{prefix}.LayerNorm", hidden)

    def _queries_keys_values(self, name: str, asking: str, hidden: str) -> tuple[str, str, str]:
        query, key = self._linear(f"{name}.query", asking), self._linear(f"{name}.key", hidden)
        if asking == hidden:  # or first tokens ask, which stand at position 0, where nothing is turned
            query = self._rotary.turned(query)
        return query, self._rotary.turned(key), self._product(f"{name}.value", hidden)

    def _behind_attention(self, name: str, context: str, hidden: str) -> str:
        g = self._g
        with g.scope("attention"):
            attended = self._attended(f"{name}.attention", context)
            hidden = self._add_and_norm(f"{name}.attention.output.LayerNorm", attended, hidden)
        with g.scope("mlp"):
            gate = self._gated(self._linear(f"{name}.mlp.input", hidden))
            gated = g.op("Mul", gate, self._linear(f"{name}.mlp.gate", hidden))
            return self._add_and_norm(
                f"{name}.output.LayerNorm", self._linear(f"{name}.mlp.Wo", gated), hidden
            )

    def _attended(self, attention: str, context: str) -> str:
        """Attention's output, with the bias of its values, which is one in every context."""
        output = f"{attention}.output.dense"
        if not self._config.has_bias:
            return self._product(output, context)
        return super()._linear(output, context, self._output_bias(attention))

    def _gated(self, inner: str) -> str:
        if self._config.activation == "silu":
            return self._g.op("Mul", inner, self._g.op("Sigmoid", inner))
        return self._g.op(ACTIVATION_TO_OP[self._config.activation], inner)

    def _linear(self, name: str, hidden: str, bias: NDArray[np.float32] | None = None) -> str:
        if f"{name}.bias" in self._weights:
            return super()._linear(name, hidden, bias)
        return self._product(name, hidden)
