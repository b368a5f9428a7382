"""ONNX Runtime's CUDA operators in numpy, so that a graph made for a GPU can be run without one.

Written from their description, https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md:
what comes in fp16 is computed in fp32 and leaves in fp16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from scipy.special import erf, softmax

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DOMAIN = "com.microsoft"


class PackedMultiHeadAttention(OpRun):  # type: ignore[misc]
    """Pads by `token_offset`, masks by `cumulative_sequence_length`, and packs again: both must be right."""

    op_domain = DOMAIN

    def _run(  # type: ignore[override] # noqa: PLR0917 (inputs come by their places)
        self,
        query: Any,
        key: Any,
        value: Any,
        bias: Any,
        token_offset: Any,
        cumulative_sequence_length: Any,
        attention_bias: Any = None,
        num_heads: int | None = None,
    ) -> tuple[Any]:
        assert bias is None
        tokens, width = query.shape
        windows, longest = token_offset.shape
        assert sorted(token_offset.reshape(-1)) == list(range(windows * longest))
        assert token_offset.dtype == cumulative_sequence_length.dtype == np.int32
        places = token_offset.reshape(-1)[:tokens]

        def padded(packed: Any) -> Any:
            wide = np.full((windows * longest, width), np.nan, np.float32)
            wide[places] = packed
            return wide.reshape(windows, longest, num_heads, -1).transpose(0, 2, 1, 3)  # (W, N, S, d)

        heads = [padded(packed) for packed in (query, key, value)]
        if attention_bias is not None:
            assert attention_bias.shape == (1, num_heads, longest, longest)
        contexts = np.full((windows, longest, width), np.nan, np.float32)
        for window, length in enumerate(np.diff(cumulative_sequence_length)):
            q, k, v = (part[window, :, :length] for part in heads)
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            if attention_bias is not None:
                scores = scores + attention_bias[0, :, :length, :length].astype(np.float32)
            context = softmax(scores, axis=-1) @ v  # (N, L, d)
            contexts[window, :length] = context.transpose(1, 0, 2).reshape(length, width)
        return (contexts.reshape(-1, width)[places].astype(query.dtype),)


class MultiHeadAttention(OpRun):  # type: ignore[misc]
    """Of texts of one length, with a bias of the scores."""

    op_domain = DOMAIN

    def _run(  # type: ignore[override] # noqa: PLR0917 (likewise)
        self,
        query: Any,
        key: Any,
        value: Any,
        bias: Any = None,
        key_padding_mask: Any = None,
        attention_bias: Any = None,
        num_heads: int | None = None,
        scale: float | None = None,
    ) -> tuple[Any]:
        assert bias is None
        assert key_padding_mask is None
        q, k, v = (
            part.astype(np.float32).reshape(*part.shape[:2], num_heads, -1).transpose(0, 2, 1, 3)
            for part in (query, key, value)
        )
        scores = q @ k.transpose(0, 1, 3, 2) * scale
        if attention_bias is not None:
            scores += attention_bias.astype(np.float32)
        context = softmax(scores, axis=-1) @ v
        return (context.transpose(0, 2, 1, 3).reshape(query.shape).astype(query.dtype),)


class SkipLayerNormalization(OpRun):  # type: ignore[misc]
    """In strict mode: the sum and its statistics are fp32."""

    op_domain = DOMAIN

    def _run(  # type: ignore[override] # noqa: PLR0917 (likewise)
        self, branch: Any, skip: Any, scale: Any, shift: Any, bias: Any = None, epsilon: float | None = None
    ) -> tuple[Any]:
        total = branch.astype(np.float32) + skip.astype(np.float32)
        if bias is not None:
            total += bias.astype(np.float32)
        centred = total - total.mean(axis=-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        return ((normal * scale.astype(np.float32) + shift.astype(np.float32)).astype(branch.dtype),)


class BiasGelu(OpRun):  # type: ignore[misc]
    """GELU by the error function."""

    op_domain = DOMAIN

    def _run(self, hidden: Any, bias: Any) -> tuple[Any]:  # type: ignore[override]
        x = hidden.astype(np.float32) + bias.astype(np.float32)
        return ((x * 0.5 * (1 + erf(x / np.sqrt(2)))).astype(hidden.dtype),)


class FastGelu(OpRun):  # type: ignore[misc]
    """GELU by tanh."""

    op_domain = DOMAIN

    def _run(self, hidden: Any, bias: Any = 0.0) -> tuple[Any]:  # type: ignore[override]
        x = hidden.astype(np.float32) + np.asarray(bias, np.float32)
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return ((x * 0.5 * (1 + np.tanh(inner))).astype(hidden.dtype),)


class Gelu(OpRun):  # type: ignore[misc]
    """GELU by the error function, without a bias."""

    op_domain = DOMAIN

    def _run(self, hidden: Any, **defaults: Any) -> tuple[Any]:  # type: ignore[override]
        assert defaults.get("approximate") in {None, "none"}
        x = hidden.astype(np.float32)
        return ((x * 0.5 * (1 + erf(x / np.sqrt(2)))).astype(hidden.dtype),)


class RotaryEmbedding(OpRun):  # type: ignore[misc]
    """Element i of a head with element i + d/2, turned by the angle of the token's position."""

    op_domain = DOMAIN

    def _run(  # type: ignore[override]
        self, hidden: Any, positions: Any, cosines: Any, sines: Any, **defaults: Any
    ) -> tuple[Any]:
        assert not any(defaults.values())
        texts, length, width = hidden.shape
        assert positions.shape == (texts, length)
        half = cosines.shape[1]
        heads = hidden.astype(np.float32).reshape(texts, length, width // (2 * half), 2, half)
        cosine, sine = (table[positions][:, :, None].astype(np.float32) for table in (cosines, sines))
        first, second = heads[..., 0, :], heads[..., 1, :]
        turned = np.stack([first * cosine - second * sine, second * cosine + first * sine], axis=-2)
        return (turned.reshape(hidden.shape).astype(hidden.dtype),)


class MatMul(OpRun):  # type: ignore[misc]
    """As tensor cores have it: products of fp16 are added up in fp32."""

    op_domain = ""

    def _run(self, hidden: Any, kernel: Any) -> tuple[Any]:  # type: ignore[override]
        return ((hidden.astype(np.float32) @ kernel.astype(np.float32)).astype(hidden.dtype),)


class Gemm(OpRun):  # type: ignore[misc]
    """Likewise, with a bias."""

    op_domain = ""

    def _run(self, hidden: Any, kernel: Any, bias: Any, **defaults: Any) -> tuple[Any]:  # type: ignore[override]
        assert not defaults.get("transA")
        assert not defaults.get("transB")
        product = hidden.astype(np.float32) @ kernel.astype(np.float32) + bias.astype(np.float32)
        return (product.astype(hidden.dtype),)


class GatherElements(OpRun):  # type: ignore[misc]
    """That of onnx.reference ends at 64 elements."""

    op_domain = ""

    def _run(self, values: Any, index: Any, axis: int | None = None) -> tuple[Any]:  # type: ignore[override]
        return (np.take_along_axis(values, index, axis=axis),)


def run_packed(onnx_file: Path, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Logits and probabilities of the file as it was written."""
    attentions = [PackedMultiHeadAttention, MultiHeadAttention, RotaryEmbedding]
    own = [*attentions, SkipLayerNormalization, BiasGelu, FastGelu, Gelu, MatMul, Gemm, GatherElements]
    model = onnx.load(onnx_file)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "go_on"))  # noqa: FBT003
    say_go_on(model.graph)
    evaluator = ReferenceEvaluator(model, new_ops=own)
    logits, probabilities = evaluator.run([contract.LOGITS, contract.PROBABILITIES], dict(inputs))
    return logits, probabilities


def say_go_on(graph: onnx.GraphProto) -> None:
    """Give every loop its condition, whose absence means the same; onnx.reference takes that for false."""
    for node in graph.node:
        if node.op_type == "Loop" and not node.input[1]:
            node.input[1] = "go_on"
        for attribute in node.attribute:
            if attribute.HasField("g"):
                say_go_on(attribute.g)
