"""BERT and its relatives for sequence classification as an ONNX graph that TensorRT builds an engine from.

TensorRT needs rectangles: R rows of L tokens, padded at the end (H hidden size, N heads of d, C labels).
Padding is where `position_ids` says -1, and attention adds a large negative number to its scores there.

    input_ids [R, L] ──────┐
    token_type_ids [R, L] ─┼─ embeddings ─ layer 0 … layer N-1 ─ pooler ─ classifier ─ logits, probabilities
    position_ids [R, L]  ──┘ └ mask [R, 1, 1, L] ┘                                     [R, C]

Types are written into the graph, as TensorRT 11 wants it. With fp16, matrix products, GELU and attention are
fp16; sums of two branches and their LayerNorm are fp32, since such a sum can be beyond fp16 and its variance
below, and the head is fp32, since it costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from bertriton import contract
from bertriton_export.checkpoint import HEADS
from bertriton_export.network import (
    GraphBuilder,
    GraphOptions,
    encoder_linears,
    output_fingerprint,
    position_table,
    to_float,
)
from bertriton_export.targets.tensorrt.linear import PaddedLinear, QdqLinear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import Float

# What is added to the scores of padding: far below any score, and finite in fp16 with a score added.
PADDING_SCORE: Final = -30_000.0


class TensorrtGraph:
    """One method a block, named as in the checkpoint, in the order of computation."""

    def __init__(self, checkpoint: Checkpoint, g: GraphBuilder, options: GraphOptions) -> None:
        self._config = checkpoint.config
        self._weights = checkpoint.weights
        self._problem_type = checkpoint.problem_type
        self._g = g
        self._dtype = options.dtype
        self._fingerprint = options.fingerprint
        self._float = PaddedLinear(g, checkpoint.weights, options.dtype)
        self._fp32 = PaddedLinear(g, checkpoint.weights, np.float32)
        self._name_to_linear: dict[str, PaddedLinear] = {}
        if options.int8:
            int8 = QdqLinear(g, checkpoint.weights, options.dtype, options.int8)
            quantised = set(encoder_linears(self._config)) - options.keep_fp32
            self._name_to_linear = dict.fromkeys(quantised, int8)

    def build(self) -> onnx.ModelProto:
        """Emit the whole graph."""
        g, config = self._g, self._config
        names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
        ids, types, positions = (g.input(name, TensorProto.INT32, ["rows", "tokens"]) for name in names)
        mask = self._mask(types, positions)  # (R, 1, 1, L)
        hidden = self._embeddings(ids, types, positions)  # (R, L, H)
        for index, stored in enumerate(config.stored_layers):
            with g.scope(f"layer.{index}"):
                hidden = self._layer(f"bert.encoder.layer.{stored}", hidden, mask)  # (R, L, H)
        logits = self._head(hidden)  # (R, C)
        probabilities = g.op(HEADS[self._problem_type].operator, logits)  # (R, C)
        g.output(contract.LOGITS, logits, TensorProto.FLOAT, ["rows", config.num_labels])
        g.output(contract.PROBABILITIES, probabilities, TensorProto.FLOAT, ["rows", config.num_labels])
        output_fingerprint(g, self._fingerprint, logits, rows="rows")
        return g.build("bert")

    def _mask(self, types: str, positions: str) -> str:
        """What is added to attention's scores: nothing for a token, a large negative number for padding.

        [R, 1, 1, L], or more where that shape takes it.
        """
        g = self._g
        with g.scope("mask"):
            if not self._config.has_segments:
                # TensorRT drops an input that nothing reads, and Triton then misses it. No type is below 0,
                # so this changes no padding.
                positions = g.op("Min", positions, types)
            is_padding = g.op("Equal", positions, g.constant(contract.PADDING_POSITION, np.int32))
            scores = (g.constant(value, self._dtype) for value in (PADDING_SCORE, 0.0))
            return g.op("Unsqueeze", g.op("Where", is_padding, *scores), g.constant([1, 2]))

    def _embeddings(self, ids: str, types: str, positions: str) -> str:
        g, config = self._g, self._config
        prefix = "bert.embeddings"
        with g.scope("embeddings"):
            words = self._rows(f"{prefix}.word_embeddings.weight", ids)
            table = position_table(config, self._weights)
            added = self._rows(f"{prefix}.position_embeddings.weight", self._places(ids, positions), table)
            summed = g.op("Add", words, added)
            if config.has_segments:
                summed = g.op("Add", summed, self._rows(f"{prefix}.token_type_embeddings.weight", types))
            hidden = self._norm(f"{prefix}.LayerNorm", summed)
            return self._linear("bert.embeddings_project", hidden) if config.embedding_size else hidden

    def _rows(self, name: str, index: str, table: NDArray[np.float32] | None = None) -> str:
        """Rows of an embedding table, FLOAT [R, L, H]; an index beyond it takes the row at its end.

        TensorRT and others read out of bounds, or fail the whole batch, for what one request has wrong.
        """
        g = self._g
        table = self._weights[name] if table is None else table
        weight = g.weight(name, to_float(name, table, self._dtype))
        within = g.op(
            "Max", g.op("Min", index, g.constant(len(table) - 1, np.int32)), g.constant(0, np.int32)
        )
        return self._widened(g.op("Gather", weight, within, axis=0))

    def _places(self, ids: str, positions: str) -> str:
        """The row of the position table for each token, any for padding."""
        g, padding_id = self._g, self._config.padding_id
        if padding_id is None:
            return positions
        # RoBERTa counts by token id, see network.bert. TensorRT adds up floats alone, exact for such numbers.
        is_word = g.op("Not", g.op("Equal", ids, g.constant(padding_id, np.int32)))
        words = g.op("Cast", is_word, to=TensorProto.FLOAT)
        count = g.op("Mul", g.op("CumSum", words, g.constant(1)), words)
        places = g.op("Add", count, g.constant(padding_id, np.float32))
        return g.op("Cast", places, to=TensorProto.INT32)

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        g = self._g
        with g.scope("attention"):
            context = self._self_attention(f"{name}.attention.self", hidden, mask)
            attended = self._linear(f"{name}.attention.output.dense", context)
            hidden = self._add_and_norm(f"{name}.attention.output.LayerNorm", attended, hidden)
        with g.scope("intermediate"):
            wide = self._linear(f"{name}.intermediate.dense", hidden)
            wide = self._activated(self._config.activation, wide, self._dtype)  # (R, L, 4H)
        with g.scope("output"):
            narrow = self._linear(f"{name}.output.dense", wide)
            return self._add_and_norm(f"{name}.output.LayerNorm", narrow, hidden)

    def _self_attention(self, name: str, hidden: str, mask: str) -> str:
        """The two products and the softmax between that TensorRT fuses into one kernel, in fp16."""
        g, scale = self._g, 1 / np.sqrt(self._config.head_size)
        # On the query and not on the scores, so that these stay small.
        query = g.op("Mul", self._linear(f"{name}.query", hidden), g.constant(scale, self._dtype))
        # A key's bias shifts all scores of a query alike, and softmax does not see it.
        key = self._linear_for(f"{name}.key").product(f"{name}.key", hidden)
        value = self._linear(f"{name}.value", hidden)
        query, value = (self._heads(part, perm=[0, 2, 1, 3]) for part in (query, value))  # (R, N, L, d)
        key = self._heads(key, perm=[0, 2, 3, 1])  # (R, N, d, L)
        scores = g.op("Add", g.op("MatMul", query, key), mask)  # (R, N, L, L)
        context = g.op("MatMul", g.op("Softmax", scores, axis=-1), value)  # (R, N, L, d)
        together = g.op("Transpose", context, perm=[0, 2, 1, 3])
        return g.op("Reshape", together, g.constant([0, 0, self._config.hidden_size]))  # (R, L, H)

    def _heads(self, hidden: str, perm: list[int]) -> str:
        """One part of attention with a dimension of its own for heads."""
        shape = self._g.constant([0, 0, self._config.num_attention_heads, self._config.head_size])
        return self._g.op("Transpose", self._g.op("Reshape", hidden, shape), perm=perm)

    def _head(self, hidden: str) -> str:
        """Logits, from the first token of each row."""
        g = self._g
        with g.scope("pooler"):
            first_tokens = self._widened(g.op("Gather", hidden, g.constant(0), axis=1))  # (R, H)
            pooled = self._fp32_linear("bert.pooler.dense", first_tokens)
            pooled = self._activated(self._config.head_activation, pooled, np.float32)
        with g.scope("classifier"):
            return self._fp32_linear("classifier", pooled)

    def _activated(self, activation: str, x: str, dtype: Float) -> str:
        """An activation function, GELU in the form that TensorRT knows."""
        if activation in ("relu", "tanh"):
            return self._g.op(activation.capitalize(), x)
        g = self._g

        def number(value: float) -> str:
            return g.constant(value, dtype)

        half = g.op("Mul", x, number(0.5))
        if activation == "gelu":
            inner = g.op("Erf", g.op("Mul", x, number(np.sqrt(0.5))))
        else:  # by tanh; of x * (1 + 0.044715 x**2) no part becomes infinite before tanh has reached 1
            polynomial = g.op("Add", g.op("Mul", g.op("Mul", x, x), number(0.044715)), number(1.0))
            inner = g.op("Tanh", g.op("Mul", g.op("Mul", x, number(np.sqrt(2 / np.pi))), polynomial))
        return g.op("Mul", half, g.op("Add", inner, number(1.0)))

    def _add_and_norm(self, name: str, branch: str, skip: str) -> str:
        return self._norm(name, self._g.op("Add", self._widened(branch), self._widened(skip)))

    def _norm(self, name: str, hidden: str) -> str:
        """LayerNorm from fp32 to the graph's precision."""
        weights = (
            self._g.weight(f"{name}.{part}", self._weights[f"{name}.{part}"]) for part in ("weight", "bias")
        )
        normal = self._g.op(
            "LayerNormalization", hidden, *weights, axis=-1, epsilon=self._config.layer_norm_eps
        )
        return self._cast(normal, self._dtype)

    def _widened(self, value: str) -> str:
        return self._cast(value, np.float32)

    def _cast(self, value: str, dtype: Float) -> str:
        """From or to fp32; nothing where all is fp32."""
        if self._dtype is np.float32:
            return value
        return self._g.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _linear(self, name: str, hidden: str) -> str:
        return self._linear_for(name).with_bias(name, hidden, self._weights[f"{name}.bias"])

    def _linear_for(self, name: str) -> PaddedLinear:
        return self._name_to_linear.get(name, self._float)

    def _fp32_linear(self, name: str, hidden: str) -> str:
        return self._fp32.with_bias(name, hidden, self._weights[f"{name}.bias"])
