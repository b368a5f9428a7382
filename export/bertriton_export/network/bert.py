"""BERT and its relatives for sequence classification as an ONNX graph without padding.

All tokens of all texts of a batch stand one after the other (T tokens, R texts, H hidden size, C labels),
so that every linear layer, LayerNorm and GELU runs on real tokens alone; attention runs window by window.
Mostly a text is one window; where a long one is several (W windows in all), its row is their mean or maximum.

    input_ids [T] ──┐
    token_type_ids ─┼─ rows ─ embeddings ─ layer 0 … layer N-1 ─ pooler ─ classifier ─ logits, probabilities
    position_ids  ──┘                         a window's tokens attend to each other    [R, C]

The classifier reads the first token of each window, so the last layer computes no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from onnx import ModelProto, TensorProto

from bertriton import contract
from bertriton_export.checkpoint import HEADS, ErnieConfig
from bertriton_export.network.attention import Attention, LoopAttention
from bertriton_export.network.int8_linear import ACTIVATION_TO_MINIMUM, Int8Linear, Int8Options, Norm
from bertriton_export.network.linear import Float, FloatLinear, Linear, to_float
from bertriton_export.network.rows import read_rows, row_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import BertConfig, Checkpoint, Weights
    from bertriton_export.network.graph_builder import GraphBuilder
    from bertriton_export.network.windows import Windows

_LINEARS_OF_A_LAYER: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)

_LINEARS_OF_THE_HEAD: Final = ("bert.pooler.dense", "classifier")

ACTIVATION_TO_OP: Final = {"gelu": "Gelu", "gelu_tanh": "FastGelu", "relu": "Relu", "tanh": "Tanh"}
# With the bias among their inputs.
_ACTIVATION_TO_FUSED_OP: Final = {"gelu": "BiasGelu", "gelu_tanh": "FastGelu"}


def is_after_activation(linear: str) -> bool:
    """Whether a linear layer of the encoder reads what the activation function gives."""
    return linear.endswith(".output.dense") and not linear.endswith(".attention.output.dense")


@dataclass(frozen=True)
class GraphOptions:
    """How the graph computes what the checkpoint says."""

    int8: Int8Options | None = None  # of the encoder's linear layers; None: they are fp32
    keep_fp32: frozenset[str] = frozenset()  # linear layers that stay fp32 in an int8 graph
    attention: type[Attention] = LoopAttention
    # Of weights and activations of embeddings and encoder; the head is fp32 always, and so are answers.
    dtype: Float = np.float32
    # Whether sums are parts of the LayerNorm or GELU behind them: one pass less on a GPU, but ONNX Runtime's
    # CPU kernels for that take several times as long as the two operators by themselves.
    is_fused: bool = False
    fingerprint: str = contract.NO_FINGERPRINT  # what every answer carries

    @property
    def weights_file(self) -> str:
        """Name of the file of weights, which is told in the graph.

        Each export has one of its own: a server that reads a graph while another takes its place finds no
        weights rather than the other's.
        """
        return f"model.{self.fingerprint}.onnx.data"


class GraphWriter(Protocol):
    """Writes a checkpoint as a graph into a folder and returns the graph's file."""

    def __call__(self, checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
        """Write it as `options` say."""


def bert_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    layers = range(config.num_stored_layers)
    return [f"bert.encoder.layer.{index}.{part}" for index in layers for part in _LINEARS_OF_A_LAYER]


def position_table(config: BertConfig, weights: Weights) -> NDArray[np.float32]:
    """The position embeddings [positions, H].

    Where all tokens are of the first kind, that kind's embedding is part of every position's, and so is the
    first task's.
    """
    table = weights["bert.embeddings.position_embeddings.weight"]
    if config.type_vocab_size and not config.has_segments:
        table = table + weights["bert.embeddings.token_type_embeddings.weight"][0]
    if isinstance(config, ErnieConfig) and config.task_type_vocab_size:
        table = table + weights["bert.embeddings.task_type_embeddings.weight"][0]
    return table


def output_fingerprint(g: GraphBuilder, fingerprint: str, logits: str, rows: str) -> None:
    """Make the fingerprint an output, once for each row of the logits; `rows` names their dimension."""
    with g.scope("fingerprint"):
        words = g.constant([list(contract.fingerprint_words(fingerprint))], np.int32)  # (1, 2)
        # A dimension of 1 takes the words': (R, 1) becomes (R, 2).
        one_a_row = g.op("Concat", _row_count(g, logits), g.constant([1]), axis=0)
        value = g.op("Expand", words, one_a_row)
    g.output(contract.FINGERPRINT, value, TensorProto.INT32, [rows, contract.FINGERPRINT_WORDS])


def _row_count(g: GraphBuilder, logits: str) -> str:
    return g.op("Slice", g.op("Shape", logits), g.constant([0]), g.constant([1]))


class BertGraph:
    """One method a block, named as in the checkpoint, in the order of computation."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        self._config = checkpoint.config
        self._weights = checkpoint.weights
        self._problem_type = checkpoint.problem_type
        self._g = g
        self._options = options
        self._float: Linear = FloatLinear(g, checkpoint.weights, options.dtype)
        head = FloatLinear(g, checkpoint.weights, np.float32)
        self._name_to_linear: dict[str, Linear] = dict.fromkeys(_LINEARS_OF_THE_HEAD, head)
        self._int8: Int8Linear | None = None
        if options.int8:
            minimum = ACTIVATION_TO_MINIMUM[self._config.activation]
            linears = self._encoder_linears()
            after_activation = [name for name in linears if is_after_activation(name)]
            minima = dict.fromkeys(after_activation, minimum)
            self._int8 = Int8Linear(g, checkpoint.weights, options.int8, minima)
            quantised = set(linears) - options.keep_fp32
            self._name_to_linear |= dict.fromkeys(quantised, self._int8)

    def build(self) -> ModelProto:
        """Emit the whole graph."""
        g, config = self._g, self._config
        rows = read_rows(g, config)
        windows = rows.windows
        attentions = self._attentions(windows)
        hidden = self._embeddings(rows.ids, rows.types, rows.marked_positions)  # (T, H)
        *names, last = (f"bert.encoder.layer.{stored}" for stored in config.stored_layers)
        for index, name in enumerate(names):
            with g.scope(f"layer.{index}"):
                hidden = self._layer(name, hidden, attentions[index])  # (T, H)
        with g.scope(f"layer.{len(names)}"):
            firsts = self._last_layer(last, hidden, attentions[-1], windows)  # (W, H)
        pooled = self._pooler(firsts)  # (W, H)
        with g.scope("classifier"):
            logits = self._linear("classifier", pooled)  # (W, C)
            probabilities = g.op(HEADS[self._problem_type].operator, logits)  # (W, C)
        with g.scope("texts"):
            logits, probabilities = rows.scores(g, logits, probabilities, labels=config.num_labels)  # (R, C)
        g.output(contract.LOGITS, logits, TensorProto.FLOAT, ["texts", config.num_labels])
        g.output(contract.PROBABILITIES, probabilities, TensorProto.FLOAT, ["texts", config.num_labels])
        output_fingerprint(g, self._options.fingerprint, logits, rows="texts")
        return g.build("bert", row_metadata(config))

    def _encoder_linears(self) -> list[str]:
        return bert_linears(self._config)

    def _attentions(self, windows: Windows) -> Sequence[Attention]:
        """One a layer."""
        config = self._config
        shared = self._options.attention(self._g, config, windows, self._options.dtype)
        return [shared] * config.num_hidden_layers

    def _embeddings(self, ids: str, types: str, marked_positions: str) -> str:
        g = self._g
        config = self._config
        with g.scope("embeddings"):
            words = g.op("Gather", self._weight("bert.embeddings.word_embeddings.weight"), ids, axis=0)
            added = g.op("Gather", self._position_table(), self._places(ids, marked_positions), axis=0)
            if config.has_segments:
                table = self._weight("bert.embeddings.token_type_embeddings.weight")
                added = g.op("Add", g.op("Gather", table, types, axis=0), added)
            hidden = self._embedded(words, added)
            return self._linear("bert.embeddings_project", hidden) if config.embedding_size else hidden

    def _embedded(self, words: str, added: str) -> str:
        """What stands for a token before any projection, from its word and from all else."""
        return self._add_and_norm("bert.embeddings.LayerNorm", words, added)

    def _position_table(self) -> str:
        table = position_table(self._config, self._weights)
        name = "bert.embeddings.position_embeddings.weight"
        return self._g.weight(name, to_float(name, table, self._options.dtype))

    def _places(self, ids: str, marked_positions: str) -> str:
        """The row of the position table for each token."""
        g, padding_id = self._g, self._config.padding_id
        if padding_id is None:
            return g.op("Max", marked_positions, g.constant(0, np.int32))  # a mark stands at a position 0
        # RoBERTa counts by token id: a padding token that somebody typed has no place of its own.
        is_word = g.op(
            "Cast", g.op("Not", g.op("Equal", ids, g.constant(padding_id, np.int32))), to=TensorProto.INT32
        )
        seen = g.op("CumSum", is_word, g.constant(0))  # (T)
        is_start = g.op("LessOrEqual", marked_positions, g.constant(0, np.int32))
        seen_before = g.op("Compress", g.op("Sub", seen, is_word), is_start, axis=0)  # (W)
        starts = g.op("CumSum", g.op("Cast", is_start, to=TensorProto.INT32), g.constant(0))
        window = g.op("Sub", starts, g.constant(1, np.int32))  # (T)
        count = g.op("Sub", seen, g.op("Gather", seen_before, window, axis=0))
        return g.op("Add", g.op("Mul", count, is_word), g.constant(padding_id, np.int32))

    def _layer(self, name: str, hidden: str, attention: Attention) -> str:
        with self._g.scope("attention"):
            query, key, value = self._queries_keys_values(f"{name}.attention.self", hidden, hidden)
            context = attention.context(query, key, value)
        return self._behind_attention(name, context, hidden)

    def _last_layer(self, name: str, hidden: str, attention: Attention, windows: Windows) -> str:
        """A layer for the first token of each window, to which all others are keys and values."""
        firsts = windows.firsts(self._g, hidden)
        with self._g.scope("attention"):
            asking = attention.queries_of_first(hidden, firsts)
            query, key, value = self._queries_keys_values(f"{name}.attention.self", asking, hidden)
            context = attention.context_of_first(query, key, value)
        return self._behind_attention(name, context, firsts)

    def _behind_attention(self, name: str, context: str, hidden: str) -> str:
        g = self._g
        with g.scope("attention"):
            bias = self._output_bias(f"{name}.attention")
            hidden = self._output(f"{name}.attention.output", context, hidden, bias)
        with g.scope("intermediate"):
            wide = self._activated(self._config.activation, f"{name}.intermediate.dense", hidden)  # (T, 4H)
        with g.scope("output"):
            return self._output(f"{name}.output", wide, hidden, self._weights[f"{name}.output.dense.bias"])

    def _output_bias(self, attention: str) -> NDArray[np.float32]:
        """The bias of attention's output, with that of its values.

        Every token gets a mean of the values, so a constant in all of them is one in the context.
        """
        weight = self._weights[f"{attention}.output.dense.weight"]
        value = f"{attention}.self.value"
        constant = self._weights[f"{value}.bias"]
        if self._int8 and self._name_to_linear.get(value) is self._int8:
            constant = constant + self._int8.mean_error(value)
        return self._weights[f"{attention}.output.dense.bias"] + weight @ constant

    def _queries_keys_values(self, name: str, asking: str, hidden: str) -> tuple[str, str, str]:
        query = self._linear(f"{name}.query", asking)
        # A key's bias shifts all scores of a query alike, and softmax does not see it.
        return query, self._product(f"{name}.key", hidden), self._product(f"{name}.value", hidden)

    def _activated(self, activation: str, dense: str, hidden: str) -> str:
        """A linear layer and the activation function behind it."""
        if self._options.is_fused and activation in _ACTIVATION_TO_FUSED_OP:
            fused, product = _ACTIVATION_TO_FUSED_OP[activation], self._product(dense, hidden)
            return self._g.op(fused, product, self._weight(f"{dense}.bias"))
        return self._g.op(ACTIVATION_TO_OP[activation], self._linear(dense, hidden))

    def _pooler(self, firsts: str) -> str:
        g = self._g
        with g.scope("pooler"):
            if self._options.dtype != np.float32:
                firsts = g.op("Cast", firsts, to=TensorProto.FLOAT)
            return self._activated(self._config.head_activation, "bert.pooler.dense", firsts)

    def _output(self, name: str, inner: str, skip: str, bias: NDArray[np.float32]) -> str:
        """A block's last linear layer, added to what came into the block, and LayerNorm."""
        if not self._options.is_fused:
            branch = self._linear(f"{name}.dense", inner, bias)
            return self._add_and_norm(f"{name}.LayerNorm", branch, skip)
        branch = self._product(f"{name}.dense", inner)
        bias_name = f"{name}.dense.bias"
        bias_value = self._g.weight(bias_name, to_float(bias_name, bias, self._options.dtype))
        return self._add_and_norm(f"{name}.LayerNorm", branch, skip, bias_value)

    def _add_and_norm(self, name: str, branch: str, skip: str, *bias: str) -> str:
        if self._options.is_fused:
            norm = (self._weight(f"{name}.weight"), self._weight(f"{name}.bias"))
            epsilon = self._config.layer_norm_eps
            return self._g.op("SkipLayerNormalization", branch, skip, *norm, *bias, epsilon=epsilon)
        return self._norm(name, self._g.op("Add", branch, skip))

    def _norm(self, name: str, hidden: str) -> str:
        norm = (self._weight(f"{name}.weight"), self._weight(f"{name}.bias"))
        epsilon = self._config.layer_norm_eps
        normal = self._g.op("LayerNormalization", hidden, *norm, axis=-1, epsilon=epsilon)
        if self._int8:
            weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
            self._int8.read_norm(normal, Norm(hidden, weight, bias, epsilon))
        return normal

    def _linear(self, name: str, hidden: str, bias: NDArray[np.float32] | None = None) -> str:
        linear = self._name_to_linear.get(name, self._float)
        return linear.with_bias(name, hidden, self._weights[f"{name}.bias"] if bias is None else bias)

    def _product(self, name: str, hidden: str) -> str:
        return self._name_to_linear.get(name, self._float).product(name, hidden)

    def _weight(self, name: str) -> str:
        dtype = np.float32 if name.startswith(_LINEARS_OF_THE_HEAD) else self._options.dtype
        return self._g.weight(name, to_float(name, self._weights[name], dtype))
