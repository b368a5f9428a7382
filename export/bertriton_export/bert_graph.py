"""BERT and its relatives for sequence classification as an ONNX graph without padding.

All tokens of all texts of a batch stand one after the other (T tokens, R texts, H hidden size, C labels),
so that every linear layer, LayerNorm and GELU runs on real tokens alone; attention runs window by window.
Mostly a text is one window; where a long one is several (W windows in all), its row is their mean or maximum.

    input_ids [T] ──┐
    token_type_ids ─┼─ embeddings ─ layer 0 … layer N-1 ─ pooler ─ classifier ─ logits, probabilities [R, C]
    position_ids  ──┘                  a window's tokens attend to each other
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from bertriton import contract
from bertriton_export.graph_builder import GraphBuilder, WeightFile
from bertriton_export.heads import HEADS
from bertriton_export.int8_linear import ACTIVATION_TO_MINIMUM, Int8Linear, Int8Options
from bertriton_export.linear import Fp32Linear, Linear

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.bert import BertConfig
    from bertriton_export.checkpoint import Checkpoint, Weights

ONNX_FILE: Final = "model.onnx"
WEIGHTS_FILE: Final = "model.onnx.data"

_LINEARS_OF_A_LAYER: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)

# Activation functions that have no operator fused with the bias.
_ACTIVATION_TO_OP: Final = {"relu": "Relu", "tanh": "Tanh"}

# Slice ends are exclusive: this one is behind the last element of any tensor.
_TO_THE_END: Final = int(np.iinfo(np.int64).max)


def is_after_activation(linear: str) -> bool:
    """Whether a linear layer of the encoder reads what the activation function gives."""
    return linear.endswith(".output.dense") and not linear.endswith(".attention.output.dense")


@dataclass(frozen=True)
class _Windows:
    """Where each window's tokens stand among all tokens: names of graph values."""

    count: str  # INT64 scalar, W
    starts: str  # INT64 [W, 1]
    ends: str  # INT64 [W, 1], exclusive
    marks: str  # INT32 [W], the contract's mark on each window's first token


@dataclass(frozen=True)
class GraphOptions:
    """How the graph computes what the checkpoint says."""

    int8: Int8Options | None = None  # of the encoder's linear layers; None: they are fp32
    keep_fp32: frozenset[str] = frozenset()  # linear layers that stay fp32 in an int8 graph


class GraphWriter(Protocol):
    """Writes a checkpoint as a graph into a folder and returns the graph's file."""

    def __call__(self, checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
        """Write it as `options` say."""


def write_bert_graph(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
    """Write the graph and its weights into a folder and return the graph's file."""
    file = folder / ONNX_FILE
    with closing(WeightFile(folder / WEIGHTS_FILE)) as weight_file:
        graph = _BertGraph(checkpoint, GraphBuilder(weight_file), options).build()
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    return file


def encoder_linears(config: BertConfig) -> list[str]:
    """Names of the linear layers that int8 applies to, in the order of computation."""
    layers = range(config.num_hidden_layers)
    return [f"bert.encoder.layer.{index}.{part}" for index in layers for part in _LINEARS_OF_A_LAYER]


def position_table(config: BertConfig, weights: Weights) -> NDArray[np.float32]:
    """The position embeddings [positions, H].

    Where all tokens are of the first kind, that kind's embedding is part of every position's.
    """
    table = weights["bert.embeddings.position_embeddings.weight"]
    if config.type_vocab_size and not config.has_segments:
        table = table + weights["bert.embeddings.token_type_embeddings.weight"][0]
    return table


class _BertGraph:
    """One method a block, named as in the checkpoint, in the order of computation."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        self._config = checkpoint.config
        self._weights = checkpoint.weights
        self._problem_type = checkpoint.problem_type
        self._g = g
        self._fp32: Linear = Fp32Linear(g, checkpoint.weights)
        self._name_to_linear: dict[str, Linear] = {}
        if options.int8:
            minimum = ACTIVATION_TO_MINIMUM[self._config.activation]
            after_activation = [name for name in encoder_linears(self._config) if is_after_activation(name)]
            int8 = Int8Linear(g, checkpoint.weights, options.int8, dict.fromkeys(after_activation, minimum))
            quantised = set(encoder_linears(self._config)) - options.keep_fp32
            self._name_to_linear = dict.fromkeys(quantised, int8)

    def build(self) -> ModelProto:
        g, config = self._g, self._config
        ids, types, marked_positions = self._real_tokens()  # (T) each
        windows = self._windows(marked_positions)
        hidden = self._embeddings(ids, types, marked_positions)  # (T, H)
        for index in range(config.num_hidden_layers):
            with g.scope(f"layer.{index}"):
                hidden = self._layer(f"bert.encoder.layer.{index}", hidden, windows)  # (T, H)
        pooled = self._pooler(hidden, windows)  # (W, H)
        with g.scope("classifier"):
            logits = self._linear("classifier", pooled)  # (W, C)
            probabilities = g.op(HEADS[self._problem_type].operator, logits)  # (W, C)
        with g.scope("texts"):
            logits, probabilities = self._texts(logits, probabilities, windows)  # (R, C) each
        g.output(contract.LOGITS, logits, TensorProto.FLOAT, ["texts", config.num_labels])
        g.output(contract.PROBABILITIES, probabilities, TensorProto.FLOAT, ["texts", config.num_labels])
        return g.build("bert")

    def _real_tokens(self) -> list[str]:
        """The inputs without the padding that a request of several texts brings along."""
        g = self._g
        names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
        inputs = [g.input(name, TensorProto.INT32, ["tokens"]) for name in names]
        with g.scope("real_tokens"):
            is_padding = g.op("Equal", inputs[-1], g.constant(contract.PADDING_POSITION, np.int32))
            is_real = g.op("Not", is_padding)
            return [g.op("Compress", value, is_real, axis=0) for value in inputs]

    def _windows(self, marked_positions: str) -> _Windows:
        """A window starts at position 0 or at a mark, and ends where the next one starts."""
        g = self._g
        with g.scope("windows"):
            is_start = g.op("LessOrEqual", marked_positions, g.constant(0, np.int32))
            starts, ends = self._runs(is_start)
            count = g.op("Gather", g.op("Shape", starts), g.constant(0), axis=0)
            marks = g.op("Compress", marked_positions, is_start, axis=0)
        return _Windows(count, starts, ends, marks)

    def _runs(self, is_start: str) -> tuple[str, str]:
        """Where runs of elements start and end, INT64 [runs, 1] each."""
        g = self._g
        starts = g.op("Transpose", g.op("NonZero", is_start), perm=[1, 0])
        next_starts = g.op("Slice", starts, g.constant([1]), g.constant([_TO_THE_END]))
        total = g.op("Unsqueeze", g.op("Shape", is_start), g.constant([0]))  # (1, 1)
        return starts, g.op("Concat", next_starts, total, axis=0)

    def _texts(self, logits: str, probabilities: str, windows: _Windows) -> list[str]:
        """One row a text: the only window's, or what its windows come to together."""
        g, labels = self._g, self._config.num_labels
        first_mark = g.op("ReduceMin", windows.marks, keepdims=0)
        has_more = g.op("Less", first_mark, g.constant(0, np.int32))

        def of_several_windows() -> list[str]:
            scores = g.op("Concat", logits, probabilities, axis=1)  # (W, 2C)
            joined = self._joined_windows(scores, windows)  # (R, 2C)
            return g.ops("Split", joined, g.constant([labels, labels]), outputs=2, axis=1)

        one_row_a_text = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, labels])
        return g.branch(
            has_more, of_several_windows, lambda: [logits, probabilities], [one_row_a_text, one_row_a_text]
        )

    def _joined_windows(self, scores: str, windows: _Windows) -> str:
        """The mean or maximum over each text's windows; text by text, so that no other has a part in it."""
        g = self._g
        starts, ends = self._runs(g.op("Equal", windows.marks, g.constant(0, np.int32)))  # (R, 1) each

        def join(index: str, rows: str) -> str:
            start, end = (g.op("Gather", bounds, index, axis=0) for bounds in (starts, ends))
            part = g.op("Slice", scores, start, end, g.constant([0]))  # (n, 2C)
            last_mark = g.op("Slice", windows.marks, g.op("Sub", end, g.constant([1])), end)
            is_maximum = g.op("Equal", last_mark, g.constant(contract.NEXT_WINDOW_OF_MAXIMUM, np.int32))
            mean, maximum = (
                g.op(reduce, part, axes=[0], keepdims=1) for reduce in ("ReduceMean", "ReduceMax")
            )
            return g.op("SequenceInsert", rows, g.op("Where", is_maximum, maximum, mean))

        one_row = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, None])
        rows = g.loop(
            g.op("Gather", g.op("Shape", starts), g.constant(0), axis=0),
            g.op("SequenceEmpty", dtype=TensorProto.FLOAT),
            helper.make_sequence_type_proto(one_row),
            join,
        )
        return g.op("ConcatFromSequence", rows, axis=0)

    def _embeddings(self, ids: str, types: str, marked_positions: str) -> str:
        g = self._g
        config = self._config
        with g.scope("embeddings"):
            words = g.op("Gather", self._weight("bert.embeddings.word_embeddings.weight"), ids, axis=0)
            added = g.op("Gather", self._position_table(), self._places(ids, marked_positions), axis=0)
            if config.has_segments:
                table = self._weight("bert.embeddings.token_type_embeddings.weight")
                added = g.op("Add", g.op("Gather", table, types, axis=0), added)
            hidden = self._add_and_norm("bert.embeddings.LayerNorm", words, added)
            return self._linear("bert.embeddings_project", hidden) if config.embedding_size else hidden

    def _position_table(self) -> str:
        table = position_table(self._config, self._weights)
        return self._g.weight("bert.embeddings.position_embeddings.weight", table)

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

    def _layer(self, name: str, hidden: str, windows: _Windows) -> str:
        g = self._g
        with g.scope("attention"):
            context = self._self_attention(f"{name}.attention.self", hidden, windows)
            bias = self._output_bias(f"{name}.attention")
            attended = self._linear(f"{name}.attention.output.dense", context, bias)
            hidden = self._add_and_norm(f"{name}.attention.output.LayerNorm", attended, hidden)
        with g.scope("intermediate"):
            wide = self._activated(self._config.activation, f"{name}.intermediate.dense", hidden)  # (T, 4H)
        with g.scope("output"):
            narrow = self._linear(f"{name}.output.dense", wide)  # (T, H)
            return self._add_and_norm(f"{name}.output.LayerNorm", narrow, hidden)

    def _output_bias(self, attention: str) -> NDArray[np.float32]:
        """The bias of attention's output, with that of its values.

        Every token gets a mean of the values, so a constant in all of them is one in the context.
        """
        weight = self._weights[f"{attention}.output.dense.weight"]
        from_values = weight @ self._weights[f"{attention}.self.value.bias"]
        return self._weights[f"{attention}.output.dense.bias"] + from_values

    def _self_attention(self, name: str, hidden: str, windows: _Windows) -> str:
        """Attention window by window: short of a kernel for ragged rows, the unmasked one is the fast one."""
        g = self._g
        query = self._linear(f"{name}.query", hidden)
        # A key's bias shifts all scores of a query alike, and softmax does not see it.
        key = self._product(f"{name}.key", hidden)
        value = self._product(f"{name}.value", hidden)
        # A leading dimension of one text lets the loop cut and attend without reshaping.
        wholes = [g.op("Unsqueeze", part, g.constant([0])) for part in (query, key, value)]  # (1, T, H) each

        def attend(index: str, contexts: str) -> str:
            start, end = (g.op("Gather", bounds, index, axis=0) for bounds in (windows.starts, windows.ends))
            parts = [g.op("Slice", whole, start, end, g.constant([1])) for whole in wholes]  # (1, L, H) each
            context = g.op("MultiHeadAttention", *parts, num_heads=self._config.num_attention_heads)
            return g.op("SequenceInsert", contexts, context)

        one_window = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, None, self._config.hidden_size])
        contexts = g.loop(
            windows.count,
            g.op("SequenceEmpty", dtype=TensorProto.FLOAT),
            helper.make_sequence_type_proto(one_window),
            attend,
        )
        return g.op("Squeeze", g.op("ConcatFromSequence", contexts, axis=1), g.constant([0]))  # (T, H)

    def _activated(self, activation: str, dense: str, hidden: str) -> str:
        """A linear layer and the activation function behind it."""
        if activation in _ACTIVATION_TO_OP:
            return self._g.op(_ACTIVATION_TO_OP[activation], self._linear(dense, hidden))
        fused = "BiasGelu" if activation == "gelu" else "FastGelu"
        return self._g.op(fused, self._product(dense, hidden), self._weight(f"{dense}.bias"))

    def _pooler(self, hidden: str, windows: _Windows) -> str:
        g = self._g
        with g.scope("pooler"):
            starts = g.op("Squeeze", windows.starts, g.constant([1]))
            first_tokens = g.op("Gather", hidden, starts, axis=0)  # (W, H)
            return self._activated(self._config.head_activation, "bert.pooler.dense", first_tokens)

    def _add_and_norm(self, name: str, branch: str, skip: str) -> str:
        # Not the fused SkipLayerNormalization: its CPU kernel takes several times as long as these two.
        return self._g.op(
            "LayerNormalization",
            self._g.op("Add", branch, skip),
            self._weight(f"{name}.weight"),
            self._weight(f"{name}.bias"),
            axis=-1,
            epsilon=self._config.layer_norm_eps,
        )

    def _linear(self, name: str, hidden: str, bias: NDArray[np.float32] | None = None) -> str:
        linear = self._name_to_linear.get(name, self._fp32)
        return linear.with_bias(name, hidden, self._weights[f"{name}.bias"] if bias is None else bias)

    def _product(self, name: str, hidden: str) -> str:
        return self._name_to_linear.get(name, self._fp32).product(name, hidden)

    def _weight(self, name: str) -> str:
        return self._g.weight(name, self._weights[name])
