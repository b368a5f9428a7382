"""BERT for sequence classification as data: its dimensions, and the names and shapes of its tensors.

Names follow Hugging Face's `BertForSequenceClassification`; every reader maps to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# `hidden_act` in config.json -> the name this package uses for the function.
HIDDEN_ACT_TO_ACTIVATION: Final = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


@dataclass(frozen=True)
class BertConfig:
    """Dimensions of one BERT classifier."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int  # longest text, special tokens included
    type_vocab_size: int  # kinds of segment: 2 where the model was trained on text pairs
    layer_norm_eps: float
    activation: str  # a value of HIDDEN_ACT_TO_ACTIVATION
    num_labels: int

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def tensor_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint of these dimensions must hold, name -> shape."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (config.vocab_size, hidden),
        "bert.embeddings.position_embeddings.weight": (config.max_position_embeddings, hidden),
        "bert.embeddings.token_type_embeddings.weight": (config.type_vocab_size, hidden),
        **_layer_norm("bert.embeddings.LayerNorm", hidden),
    }
    for index in range(config.num_hidden_layers):
        shapes |= dict(_layer(f"bert.encoder.layer.{index}", config))
    return (
        shapes
        | _linear("bert.pooler.dense", hidden, hidden)
        | _linear("classifier", hidden, config.num_labels)
    )


def _layer(name: str, config: BertConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = config.hidden_size
    for projection in ("query", "key", "value"):
        yield from _linear(f"{name}.attention.self.{projection}", hidden, hidden).items()
    yield from _linear(f"{name}.attention.output.dense", hidden, hidden).items()
    yield from _layer_norm(f"{name}.attention.output.LayerNorm", hidden).items()
    yield from _linear(f"{name}.intermediate.dense", hidden, config.intermediate_size).items()
    yield from _linear(f"{name}.output.dense", config.intermediate_size, hidden).items()
    yield from _layer_norm(f"{name}.output.LayerNorm", hidden).items()


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _layer_norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}
