"""ModernBERT for sequence classification as an ONNX graph without padding (see `bert` for rows and windows).

Warner et al. 2024, https://arxiv.org/abs/2412.13663. It differs from BERT in the order of things: LayerNorm
stands before each block, and what comes out is added to what went in. Positions are no embeddings: queries
and keys are turned by angles that grow with the position (Su et al. 2021, https://arxiv.org/abs/2104.09864),
with one base in layers where tokens attend to all others and another where they attend to near ones alone.

    input_ids [T] ──┐
    position_ids  ──┴─ rows ─ embeddings ─ layer 0 … layer N-1 ─ norm ─ first or mean ─ head ─ classifier
                              hidden + attention(norm(hidden)); hidden + mlp(norm(hidden))

With fp16, products and attention are fp16. What the blocks have added up is fp32: no LayerNorm keeps that sum
from growing with every layer, and the last one reads all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import ModelProto, TensorProto, helper

from bertriton import contract
from bertriton_export.checkpoint import HEADS, ModernBertConfig
from bertriton_export.network.bert import ACTIVATION_TO_OP, output_fingerprint
from bertriton_export.network.int8_linear import Int8Linear
from bertriton_export.network.linear import FloatLinear, Linear, to_float
from bertriton_export.network.rows import read_rows, row_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import BertConfig, Checkpoint
    from bertriton_export.network.attention import Attention
    from bertriton_export.network.bert import GraphOptions
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.linear import Float
    from bertriton_export.network.windows import Windows

_LINEARS_OF_A_LAYER: Final = (
    "attn.query",
    "attn.key",
    "attn.value",
    "attn.Wo",
    "mlp.input",
    "mlp.gate",
    "mlp.Wo",
)
_HEAD: Final = ("head.", "classifier")


def modernbert_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    layers = range(config.num_hidden_layers)
    return [f"model.layers.{index}.{part}" for index in layers for part in _LINEARS_OF_A_LAYER]


def rotary_tables(config: BertConfig, theta: float) -> tuple[NDArray[np.float32], ...]:
    """Cosines and sines [positions, head_size / 2] of the angles that heads are turned by, from their base.

    In single precision from the first step on, as Transformers computes them: far from the start of a text,
    its angles differ from exact ones in the fourth digit.
    """
    size = config.head_size
    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    frequencies = np.float32(1) / np.power(np.float32(theta), exponents)
    angles = np.arange(config.max_position_embeddings, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotary_positions(g: GraphBuilder, marked_positions: str) -> str:
    """The position of each token, as `Rotary` takes them, INT64 [T, 1]."""
    places = g.op("Max", marked_positions, g.constant(0, np.int32))  # a mark stands at a position 0
    return g.op("Reshape", g.op("Cast", places, to=TensorProto.INT64), g.constant([-1, 1]))


class Rotary:
    """One base's tables of angles in the graph, and the position of each token.

    Args:
        g: the graph under construction.
        positions: of the graph, see `rotary_positions`.
        tables: see `rotary_tables`.
        name: that their names begin with.
        dtype: of queries and keys.
    """

    def __init__(
        self,
        g: GraphBuilder,
        positions: str,
        tables: tuple[NDArray[np.float32], ...],
        name: str,
        dtype: Float,
    ) -> None:
        self._g = g
        self._positions = positions
        names = (f"{name}.cosines", f"{name}.sines")
        self._tables = [
            g.weight(part, to_float(part, table, dtype)) for part, table in zip(names, tables, strict=True)
        ]

    def turned(self, part: str) -> str:
        """Queries or keys [T, H], each head's pairs turned by the token's angles.

        To the operator each token is a text of its own, so that there may be any number of them.
        """
        g = self._g
        alone = g.op("Unsqueeze", part, g.constant([1]))  # (T, 1, H)
        turned = g.op("RotaryEmbedding", alone, self._positions, *self._tables)
        return g.op("Squeeze", turned, g.constant([1]))


class ModernBertGraph:
    """One method a block, named as in the checkpoint, in the order of computation."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        if not isinstance(checkpoint.config, ModernBertConfig):
            raise TypeError(type(checkpoint.config))
        self._config = checkpoint.config
        self._weights = checkpoint.weights
        self._problem_type = checkpoint.problem_type
        self._g = g
        self._options = options
        self._float: Linear = FloatLinear(g, checkpoint.weights, options.dtype)
        self._head_linear: Linear = FloatLinear(g, checkpoint.weights, np.float32)
        self._name_to_linear: dict[str, Linear] = {}
        if options.int8:
            int8 = Int8Linear(g, checkpoint.weights, options.int8, {})
            quantised = set(modernbert_linears(self._config)) - options.keep_fp32
            self._name_to_linear = dict.fromkeys(quantised, int8)

    def build(self) -> ModelProto:
        """Emit the whole graph."""
        g, config = self._g, self._config
        rows = read_rows(g, config)
        attentions = self._attentions(rows.windows)
        rotaries = self._rotaries(rows.marked_positions)
        hidden = self._embeddings(rows.ids)  # (T, H)
        last = config.num_hidden_layers - 1
        for index in range(config.num_hidden_layers):
            with g.scope(f"layer.{index}"):
                if index == last and config.pooling == "cls":
                    hidden = self._last_layer(
                        index, hidden, attentions[index], rotaries, rows.windows
                    )  # (W, H)
                else:
                    hidden = self._layer(index, hidden, attentions[index], rotaries)  # (T, H)
        logits = self._head(hidden, rows.windows)  # (W, C)
        probabilities = g.op(HEADS[self._problem_type].operator, logits)  # (W, C)
        with g.scope("texts"):
            logits, probabilities = rows.scores(g, logits, probabilities, labels=config.num_labels)  # (R, C)
        g.output(contract.LOGITS, logits, TensorProto.FLOAT, ["texts", config.num_labels])
        g.output(contract.PROBABILITIES, probabilities, TensorProto.FLOAT, ["texts", config.num_labels])
        output_fingerprint(g, self._options.fingerprint, logits, rows="texts")
        return g.build("bert", row_metadata(config))

    def _attentions(self, windows: Windows) -> Sequence[Attention]:
        """One a layer."""
        config = self._config
        everywhere = self._options.attention(self._g, config, windows, self._options.dtype)
        kinds = [config.is_global(index) for index in range(config.num_hidden_layers)]
        nearby = everywhere if all(kinds) else everywhere.local(config.local_reach)
        return [everywhere if is_global else nearby for is_global in kinds]

    def _embeddings(self, ids: str) -> str:
        with self._g.scope("embeddings"):
            table = self._weight("model.embeddings.tok_embeddings.weight")
            words = self._widened(self._g.op("Gather", table, ids, axis=0))
            return self._normal("model.embeddings.norm", words)

    def _rotaries(self, marked_positions: str) -> dict[bool, Rotary]:
        """Tables of the kinds of layers there are: True for global ones."""
        g, config = self._g, self._config
        with g.scope("rotary"):
            positions = rotary_positions(g, marked_positions)
            return {
                is_global: self._rotary(positions, is_global=is_global)
                for is_global in {config.is_global(index) for index in range(config.num_hidden_layers)}
            }

    def _rotary(self, positions: str, *, is_global: bool) -> Rotary:
        config = self._config
        theta = config.global_theta if is_global else config.local_theta
        name = "rotary.global" if is_global else "rotary.local"
        return Rotary(self._g, positions, rotary_tables(config, theta), name, self._options.dtype)

    def _layer(self, index: int, hidden: str, attention: Attention, rotaries: dict[bool, Rotary]) -> str:
        g, name, is_global = self._g, f"model.layers.{index}", self._config.is_global(index)
        with g.scope("attention"):
            normal = self._attention_norm(index, hidden)
            query, key = (
                rotaries[is_global].turned(self._linear(f"{name}.attn.{part}", normal))
                for part in ("query", "key")
            )
            value = self._linear(f"{name}.attn.value", normal)
            context = attention.context(query, key, value)
            hidden = self._added(hidden, f"{name}.attn.Wo", context)
        return self._mlp(name, hidden)

    def _last_layer(
        self,
        index: int,
        hidden: str,
        attention: Attention,
        rotaries: dict[bool, Rotary],
        windows: Windows,
    ) -> str:
        """A layer for the first token of each window, to which all others are keys and values.

        The first token's query stands at position 0, where nothing is turned.
        """
        g, name, is_global = self._g, f"model.layers.{index}", self._config.is_global(index)
        firsts = windows.firsts(g, hidden)  # (W, H)
        with g.scope("attention"):
            normal = self._attention_norm(index, hidden)
            asking = attention.queries_of_first(normal, windows.firsts(g, normal))
            query = self._linear(f"{name}.attn.query", asking)
            if asking == normal:
                query = rotaries[is_global].turned(query)
            key = rotaries[is_global].turned(self._linear(f"{name}.attn.key", normal))
            value = self._linear(f"{name}.attn.value", normal)
            context = attention.context_of_first(query, key, value)
            firsts = self._added(firsts, f"{name}.attn.Wo", context)
        return self._mlp(name, firsts)

    def _attention_norm(self, index: int, hidden: str) -> str:
        """Nothing in the first layer, where the embeddings' LayerNorm stands right before."""
        normal = self._normal(f"model.layers.{index}.attn_norm", hidden) if index else hidden
        return self._narrowed(normal)

    def _mlp(self, name: str, hidden: str) -> str:
        """A linear layer, gated by another that went through the activation function, and one back."""
        g = self._g
        with g.scope("mlp"):
            normal = self._narrowed(self._normal(f"{name}.mlp_norm", hidden))
            inner = self._linear(f"{name}.mlp.input", normal)  # (T, I)
            activated = g.op(ACTIVATION_TO_OP[self._config.activation], inner)
            gated = g.op("Mul", activated, self._linear(f"{name}.mlp.gate", normal))
            return self._added(hidden, f"{name}.mlp.Wo", gated)

    def _head(self, hidden: str, windows: Windows) -> str:
        g = self._g
        with g.scope("head"):
            normal = self._normal("model.final_norm", hidden)
            pooled = self._means(normal, windows) if self._config.pooling == "mean" else normal  # (W, H)
            dense = g.op(ACTIVATION_TO_OP[self._config.head_activation], self._linear("head.dense", pooled))
            pooled = self._normal("head.norm", dense)
        with g.scope("classifier"):
            return self._linear("classifier", pooled)

    def _means(self, hidden: str, windows: Windows) -> str:
        """The mean over each window's tokens; window by window, so that no other has a part in it."""
        g = self._g

        def mean(index: str, means: str) -> str:
            start, end = (g.op("Gather", bounds, index, axis=0) for bounds in (windows.starts, windows.ends))
            tokens = g.op("Slice", hidden, start, end, g.constant([0]))
            return g.op("SequenceInsert", means, g.op("ReduceMean", tokens, axes=[0], keepdims=1))

        one_window = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, self._config.hidden_size])
        means = g.loop(
            windows.count,
            g.op("SequenceEmpty", dtype=TensorProto.FLOAT),
            helper.make_sequence_type_proto(one_window),
            mean,
        )
        return g.op("ConcatFromSequence", means, axis=0)

    def _added(self, hidden: str, linear: str, inner: str) -> str:
        """What comes out of a block, added to what went in."""
        return self._g.op("Add", hidden, self._widened(self._linear(linear, inner)))

    def _normal(self, name: str, hidden: str) -> str:
        """LayerNorm in fp32, of what blocks have added up."""
        parts = ("weight", "bias") if self._config.has_norm_bias else ("weight",)
        names = [f"{name}.{part}" for part in parts]
        weights = [self._g.weight(part, self._weights[part]) for part in names]
        epsilon = self._config.layer_norm_eps
        return self._g.op("LayerNormalization", hidden, *weights, axis=-1, epsilon=epsilon)

    def _widened(self, value: str) -> str:
        """In fp32; nothing where all is fp32."""
        is_wide = self._options.dtype is np.float32
        return value if is_wide else self._g.op("Cast", value, to=TensorProto.FLOAT)

    def _narrowed(self, value: str) -> str:
        """In the precision of products."""
        is_wide = self._options.dtype is np.float32
        return value if is_wide else self._g.op("Cast", value, to=TensorProto.FLOAT16)

    def _linear(self, name: str, hidden: str) -> str:
        linear = self._name_to_linear.get(name, self._head_linear if name.startswith(_HEAD) else self._float)
        bias = f"{name}.bias"
        if bias in self._weights:
            return linear.with_bias(name, hidden, self._weights[bias])
        return linear.product(name, hidden)

    def _weight(self, name: str) -> str:
        dtype = np.float32 if name.startswith(_HEAD) else self._options.dtype
        return self._g.weight(name, to_float(name, self._weights[name], dtype))
