"""BERT and its relatives as classifiers in float64 numpy: the independent answer a graph is held to.

Written from the model's definition (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), one text at a
time and without any packing, so that it shares no idea with the graph. Layers are the outer loop: only one
layer's weights are in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import erf, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import BertConfig, Checkpoint, Weights

    Array = NDArray[np.float64]


def reference_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts, computed one by one in float64."""
    config = checkpoint.config
    states = _embeddings(_Part(checkpoint.weights, "bert."), config, encodings)  # (L, H) each
    for index in range(config.num_hidden_layers):
        layer = _Part(checkpoint.weights, f"bert.encoder.layer.{index}.")
        states = [_layer(layer, config, state) for state in states]
    head = _Part(checkpoint.weights, "")
    first_tokens = np.stack([state[0] for state in states])  # (R, H)
    pooled = ACTIVATIONS[config.head_activation](_linear(head, "bert.pooler.dense", first_tokens))
    return _linear(head, "classifier", pooled)  # (R, C)


class _Part:
    """The weights under one prefix, each converted to float64 once."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self._weights = weights
        self._prefix = prefix
        self._converted: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._converted:
            self._converted[name] = self._weights[self._prefix + name].astype(np.float64)
        return self._converted[name]


def _embeddings(part: _Part, config: BertConfig, encodings: Sequence[Encoding]) -> list[Array]:
    states = []
    for encoding in encodings:
        words = part["embeddings.word_embeddings.weight"][encoding.ids]  # (L, H)
        hidden = words + part["embeddings.position_embeddings.weight"][_places(encoding.ids, config)]
        if config.type_vocab_size:
            kinds = encoding.type_ids if config.has_segments else [0] * len(encoding.ids)
            hidden = hidden + part["embeddings.token_type_embeddings.weight"][kinds]
        hidden = _layer_norm(part, "embeddings.LayerNorm", hidden, config)
        states.append(_linear(part, "embeddings_project", hidden) if config.embedding_size else hidden)
    return states


def _places(ids: list[int], config: BertConfig) -> list[int]:
    """Positions from 0; or as fairseq's RoBERTa counts them, where padding stays at its own id."""
    if config.padding_id is None:
        return list(range(len(ids)))
    places, count = [], config.padding_id
    for token in ids:
        count += token != config.padding_id
        places.append(count if token != config.padding_id else config.padding_id)
    return places


def _layer(part: _Part, config: BertConfig, hidden: Array) -> Array:
    attended = _linear(part, "attention.output.dense", _self_attention(part, config, hidden))
    hidden = _layer_norm(part, "attention.output.LayerNorm", attended + hidden, config)
    wide = ACTIVATIONS[config.activation](_linear(part, "intermediate.dense", hidden))  # (L, 4H)
    return _layer_norm(part, "output.LayerNorm", _linear(part, "output.dense", wide) + hidden, config)


def _self_attention(part: _Part, config: BertConfig, hidden: Array) -> Array:
    query, key, value = (
        _linear(part, f"attention.self.{name}", hidden)
        .reshape(len(hidden), config.num_attention_heads, config.head_size)
        .transpose(1, 0, 2)
        for name in ("query", "key", "value")
    )  # (N, L, d) each
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(config.head_size)  # (N, L, L)
    context = softmax(scores, axis=-1) @ value  # (N, L, d)
    return np.reshape(context.transpose(1, 0, 2), hidden.shape)  # (L, H)


def _linear(part: _Part, name: str, hidden: Array) -> Array:
    return hidden @ part[f"{name}.weight"].T + part[f"{name}.bias"]


def _layer_norm(part: _Part, name: str, hidden: Array, config: BertConfig) -> Array:
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(variance + config.layer_norm_eps)
    return normal * part[f"{name}.weight"] + part[f"{name}.bias"]


def _gelu(x: Array) -> Array:
    """Input times the standard normal's distribution function (https://arxiv.org/abs/1606.08415)."""
    return np.asarray(x * 0.5 * (1 + erf(x / np.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    """The same paper's approximation by tanh."""
    return np.asarray(x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": _relu,
    "tanh": np.tanh,
}
