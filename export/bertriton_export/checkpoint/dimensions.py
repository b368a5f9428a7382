"""BERT for sequence classification as data: its dimensions, and the names and shapes of its tensors.

Names follow Hugging Face's `BertForSequenceClassification`; every reader and architecture maps to them.
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
    max_position_embeddings: int  # rows of the position table
    type_vocab_size: int  # kinds of segment: 2 where the model was trained on text pairs, 0 without them
    layer_norm_eps: float
    activation: str  # a value of HIDDEN_ACT_TO_ACTIVATION
    num_labels: int
    head_activation: str = "tanh"  # between the two layers of the head
    embedding_size: int | None = None  # width of the embeddings where they are projected to hidden_size
    reads_token_types: bool = True  # False: every token is of the first kind, also in pairs
    # Positions are counted as RoBERTa does, from behind this token id and over other tokens only.
    padding_id: int | None = None

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def has_segments(self) -> bool:
        """Whether tokens can be of more than one kind."""
        return self.reads_token_types and self.type_vocab_size > 1

    @property
    def longest_text(self) -> int:
        """Tokens that there are positions for, special tokens included."""
        return self.max_position_embeddings - (0 if self.padding_id is None else self.padding_id + 1)


def tensor_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint of these dimensions must hold, name -> shape."""
    hidden = config.hidden_size
    shapes = _embeddings(config)
    for index in range(config.num_hidden_layers):
        shapes |= dict(_layer(f"bert.encoder.layer.{index}", config))
    return (
        shapes
        | _linear("bert.pooler.dense", hidden, hidden)
        | _linear("classifier", hidden, config.num_labels)
    )


def _embeddings(config: BertConfig) -> dict[str, tuple[int, ...]]:
    size = config.embedding_size or config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (config.vocab_size, size),
        "bert.embeddings.position_embeddings.weight": (config.max_position_embeddings, size),
    }
    if config.type_vocab_size:
        shapes["bert.embeddings.token_type_embeddings.weight"] = (config.type_vocab_size, size)
    shapes |= _layer_norm("bert.embeddings.LayerNorm", size)
    if config.embedding_size:
        shapes |= _linear("bert.embeddings_project", size, config.hidden_size)
    return shapes


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
