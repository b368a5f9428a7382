"""ModernBERT as a classifier in float64 numpy, from its definition (https://arxiv.org/abs/2412.13663).

One text at a time, as `reference` has BERT. Scores are made for a block of queries at a time, so that memory
holds no scores of all pairs of a long text's tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import softmax

from bertriton_export.checkpoint import ModernBertConfig
from bertriton_export.verification.float64 import ACTIVATIONS, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint

    Array = NDArray[np.float64]

_QUERIES_AT_ONCE: Final = 128


def modernbert_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts.

    Raises:
        TypeError: the checkpoint is of another family.
    """
    config = checkpoint.config
    if not isinstance(config, ModernBertConfig):
        raise TypeError(f"expected a ModernBERT, found {type(config).__name__}")
    embeddings = Part(checkpoint.weights, "model.embeddings.")
    words = embeddings.rows("tok_embeddings.weight", [encoding.ids for encoding in encodings])
    states = [_norm(embeddings, "norm", word, config) for word in words]  # (L, H) each
    for index in range(config.num_hidden_layers):
        layer = Part(checkpoint.weights, f"model.layers.{index}.")
        states = [_layer(layer, config, index, state) for state in states]
    outside = Part(checkpoint.weights, "")
    finals = [_norm(outside, "model.final_norm", state, config) for state in states]
    pooled = np.stack([final[0] if config.pooling == "cls" else final.mean(axis=0) for final in finals])
    activated = ACTIVATIONS[config.head_activation](
        _linear(outside, "head.dense", pooled, has_bias=config.has_head_bias)
    )
    return _linear(outside, "classifier", _norm(outside, "head.norm", activated, config), has_bias=True)


def _layer(part: Part, config: ModernBertConfig, index: int, hidden: Array) -> Array:
    normal = hidden if index == 0 else _norm(part, "attn_norm", hidden, config)
    context = _attention(part, config, normal, is_global=config.is_global(index))
    hidden = hidden + _linear(part, "attn.Wo", context, has_bias=config.has_attention_bias)
    normal = _norm(part, "mlp_norm", hidden, config)
    inner, gate = (
        _linear(part, f"mlp.{name}", normal, has_bias=config.has_mlp_bias) for name in ("input", "gate")
    )
    gated = ACTIVATIONS[config.activation](inner) * gate
    return hidden + _linear(part, "mlp.Wo", gated, has_bias=config.has_mlp_bias)


def _attention(part: Part, config: ModernBertConfig, normal: Array, *, is_global: bool) -> Array:
    length = len(normal)
    query, key, value = (
        _linear(part, f"attn.{name}", normal, has_bias=config.has_attention_bias)
        .reshape(length, config.num_attention_heads, config.head_size)
        .transpose(1, 0, 2)
        for name in ("query", "key", "value")
    )  # (N, L, d) each
    theta = config.global_theta if is_global else config.local_theta
    query, key = _turned(query, theta), _turned(key, theta)
    reach = length if is_global else config.local_reach
    contexts = []
    for start in range(0, length, _QUERIES_AT_ONCE):
        asking = np.arange(start, min(start + _QUERIES_AT_ONCE, length))
        near = np.arange(max(0, asking[0] - reach), min(asking[-1] + reach + 1, length))
        scores = query[:, asking] @ key[:, near].transpose(0, 2, 1) / np.sqrt(config.head_size)
        scores[:, np.abs(asking[:, None] - near) > reach] = -np.inf
        contexts.append(softmax(scores, axis=-1) @ value[:, near])  # (N, some of L, d)
    return np.reshape(np.concatenate(contexts, axis=1).transpose(1, 0, 2), normal.shape)


def _turned(heads: Array, theta: float) -> Array:
    """Rotary positions: element i and i + d/2 of a head [N, L, d] as a complex number, turned by an angle.

    The angles are those of single precision, in which the network was trained with them.
    """
    length, size = heads.shape[1:]
    half = size // 2
    slowness = np.float32(theta) ** (np.arange(half, dtype=np.float32) * np.float32(2 / size))
    angles = np.arange(length, dtype=np.float32)[:, None] * (np.float32(1) / slowness)
    turned = (heads[..., :half] + 1j * heads[..., half:]) * np.exp(1j * angles.astype(np.float64))
    return np.concatenate([turned.real, turned.imag], axis=-1)


def _linear(part: Part, name: str, hidden: Array, *, has_bias: bool) -> Array:
    product: Array = hidden @ part[f"{name}.weight"].T
    return product + part[f"{name}.bias"] if has_bias else product


def _norm(part: Part, name: str, hidden: Array, config: ModernBertConfig) -> Array:
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(variance + config.layer_norm_eps) * part[f"{name}.weight"]
    return normal + part[f"{name}.bias"] if config.has_norm_bias else normal
