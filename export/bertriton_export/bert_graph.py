"""BERT for sequence classification as an ONNX graph without padding.

All tokens of all texts of a batch stand one after the other (T tokens, R texts, H hidden size, C labels),
so that every linear layer, LayerNorm and GELU runs on real tokens alone; attention runs text by text.

    input_ids [T] ──┐
    token_type_ids ─┼─ embeddings ─ layer 0 … layer N-1 ─ pooler ─ classifier ─ logits, probabilities [R, C]
    position_ids  ──┘                  a text's tokens attend to each other
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from bertriton import contract
from onnx import ModelProto, TensorProto, helper

from bertriton_export.graph_builder import GraphBuilder, WeightFile

if TYPE_CHECKING:
    from bertriton_export.bert import BertConfig
    from bertriton_export.checkpoint import Weights

PROBLEM_TYPE_TO_OP: Final = {
    contract.SINGLE_LABEL: "Softmax",
    contract.MULTI_LABEL: "Sigmoid",
    contract.REGRESSION: "Identity",
}

# Slice ends are exclusive: this one is behind the last element of any tensor.
_TO_THE_END: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class _Texts:
    """Where each text's tokens stand among all tokens: names of graph values."""

    count: str  # INT64 scalar, R
    starts: str  # INT64 [R]
    ends: str  # INT64 [R]


def build_bert_graph(
    config: BertConfig, weights: Weights, problem_type: str, weight_file: WeightFile
) -> ModelProto:
    """Build the graph; its weights are written to `weight_file` on the way."""
    return _BertGraph(config, weights, GraphBuilder(weight_file)).build(problem_type)


class _BertGraph:
    """One method a block, named as in the checkpoint, in the order of computation."""

    def __init__(self, config: BertConfig, weights: Weights, g: GraphBuilder) -> None:
        self._config = config
        self._weights = weights
        self._g = g

    def build(self, problem_type: str) -> ModelProto:
        g, config = self._g, self._config
        ids, types, positions = self._real_tokens()  # (T) each
        texts = self._texts(positions)
        hidden = self._embeddings(ids, types, positions)  # (T, H)
        for index in range(config.num_hidden_layers):
            with g.scope(f"layer.{index}"):
                hidden = self._layer(f"bert.encoder.layer.{index}", hidden, texts)  # (T, H)
        pooled = self._pooler(hidden, texts)  # (R, H)
        with g.scope("classifier"):
            logits = self._linear("classifier", pooled)  # (R, C)
            probabilities = g.op(PROBLEM_TYPE_TO_OP[problem_type], logits)  # (R, C)
        g.output(contract.LOGITS, logits, TensorProto.FLOAT, ["texts", config.num_labels])
        g.output(contract.PROBABILITIES, probabilities, TensorProto.FLOAT, ["texts", config.num_labels])
        return g.build("bert")

    def _real_tokens(self) -> list[str]:
        """The inputs without the padding that a request of several texts brings along."""
        g = self._g
        names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
        inputs = [g.input(name, TensorProto.INT32, ["tokens"]) for name in names]
        with g.scope("real_tokens"):
            is_real = g.op("Greater", inputs[-1], g.constant(contract.PADDING_POSITION, np.int32))
            return [g.op("Compress", value, is_real, axis=0) for value in inputs]

    def _texts(self, positions: str) -> _Texts:
        """A text starts at position 0 and ends where the next one starts."""
        g = self._g
        with g.scope("texts"):
            is_start = g.op("Equal", positions, g.constant(0, np.int32))
            starts = g.op("Squeeze", g.op("NonZero", is_start), g.constant([0]))
            next_starts = g.op("Slice", starts, g.constant([1]), g.constant([_TO_THE_END]))
            ends = g.op("Concat", next_starts, g.op("Shape", positions), axis=0)
            count = g.op("Squeeze", g.op("Shape", starts))
        return _Texts(count, starts, ends)

    def _embeddings(self, ids: str, types: str, positions: str) -> str:
        g = self._g
        with g.scope("embeddings"):
            words, segments, places = (
                g.op("Gather", self._weight(f"bert.embeddings.{table}_embeddings.weight"), index, axis=0)
                for table, index in (("word", ids), ("token_type", types), ("position", positions))
            )
            return self._add_and_norm("bert.embeddings.LayerNorm", words, g.op("Add", segments, places))

    def _layer(self, name: str, hidden: str, texts: _Texts) -> str:
        g = self._g
        with g.scope("attention"):
            context = self._self_attention(f"{name}.attention.self", hidden, texts)
            projected = g.op("MatMul", context, self._kernel(f"{name}.attention.output.dense"))
            hidden = self._add_and_norm(
                f"{name}.attention.output.LayerNorm",
                projected,
                hidden,
                bias=self._weight(f"{name}.attention.output.dense.bias"),
            )
        with g.scope("intermediate"):
            wide = self._activation(f"{name}.intermediate.dense", hidden)  # (T, 4H)
        with g.scope("output"):
            narrow = g.op("MatMul", wide, self._kernel(f"{name}.output.dense"))  # (T, H)
            return self._add_and_norm(
                f"{name}.output.LayerNorm", narrow, hidden, bias=self._weight(f"{name}.output.dense.bias")
            )

    def _self_attention(self, name: str, hidden: str, texts: _Texts) -> str:
        """Attention text by text: short of a kernel for ragged rows, the unmasked one is the fast one."""
        g = self._g
        query, key, value = (self._linear(f"{name}.{part}", hidden) for part in ("query", "key", "value"))

        def attend(index: str, contexts: str) -> str:
            start, end = (
                g.op("Unsqueeze", g.op("Gather", bound, index), g.constant([0]))
                for bound in (texts.starts, texts.ends)
            )
            q, k, v = (
                g.op("Unsqueeze", g.op("Slice", whole, start, end, g.constant([0])), g.constant([0]))
                for whole in (query, key, value)
            )  # (1, L, H) each
            context = g.op("MultiHeadAttention", q, k, v, num_heads=self._config.num_attention_heads)
            return g.op("SequenceInsert", contexts, g.op("Squeeze", context, g.constant([0])))

        any_rows = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, self._config.hidden_size])
        contexts = g.loop(
            texts.count,
            g.op("SequenceEmpty", dtype=TensorProto.FLOAT),
            helper.make_sequence_type_proto(any_rows),
            attend,
        )
        return g.op("ConcatFromSequence", contexts, axis=0)  # (T, H)

    def _activation(self, dense: str, hidden: str) -> str:
        g = self._g
        product = g.op("MatMul", hidden, self._kernel(dense))
        bias = self._weight(f"{dense}.bias")
        if self._config.activation == "relu":
            return g.op("Relu", g.op("Add", product, bias))
        return g.op("BiasGelu" if self._config.activation == "gelu" else "FastGelu", product, bias)

    def _pooler(self, hidden: str, texts: _Texts) -> str:
        g = self._g
        with g.scope("pooler"):
            first_tokens = g.op("Gather", hidden, texts.starts, axis=0)  # (R, H)
            return g.op("Tanh", self._linear("bert.pooler.dense", first_tokens))

    def _add_and_norm(self, name: str, branch: str, skip: str, bias: str = "") -> str:
        return self._g.op(
            "SkipLayerNormalization",
            branch,
            skip,
            self._weight(f"{name}.weight"),
            self._weight(f"{name}.bias"),
            bias,
            epsilon=self._config.layer_norm_eps,
        )

    def _linear(self, name: str, hidden: str) -> str:
        return self._g.op("Gemm", hidden, self._kernel(name), self._weight(f"{name}.bias"))

    def _kernel(self, name: str) -> str:
        """A linear layer's weight as ONNX multiplies it: inputs first."""
        return self._g.weight(f"{name}.weight", self._weights[f"{name}.weight"].T)

    def _weight(self, name: str) -> str:
        return self._g.weight(name, self._weights[name])
