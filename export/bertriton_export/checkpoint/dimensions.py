"""BERT for sequence classification as data: its dimensions, and the names and shapes of its tensors.

Names follow Hugging Face's `BertForSequenceClassification`; every reader and architecture maps to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint.settings import Settings
    from bertriton_export.checkpoint.weights import LazyTensor

# `hidden_act` in config.json -> the name this package uses for the function.
HIDDEN_ACT_TO_ACTIVATION: Final = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


Entry = TypeVar("Entry")


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

    @property
    def stored_layers(self) -> tuple[int, ...]:
        """Of each layer of the network, which one of the checkpoint's it is; several may be the same."""
        return tuple(range(self.num_hidden_layers))

    @property
    def num_stored_layers(self) -> int:
        """Layers that the checkpoint has tensors of."""
        return self.num_hidden_layers

    @classmethod
    def own_fields(cls, settings: Settings) -> dict[str, Any]:
        """What a config.json tells of the fields that BERT has not or reads otherwise, name -> value.

        Raises:
            CheckpointError, UnsupportedModelError: such a value cannot be served.
        """
        del settings
        return {}

    def taken_apart(self, tensors: Mapping[str, LazyTensor], source: Path) -> Mapping[str, LazyTensor]:
        """The tensors of a checkpoint, each of one linear layer; `source` is named where one is missing."""
        del source
        return tensors

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint must hold, name -> shape."""
        hidden = self.hidden_size
        shapes = _embeddings(self)
        for index in range(self.num_stored_layers):
            shapes |= dict(_layer(f"bert.encoder.layer.{index}", self))
        return (
            shapes
            | linear_shapes("bert.pooler.dense", hidden, hidden)
            | linear_shapes("classifier", hidden, self.num_labels)
        )


def of_family(config: BertConfig, kind_to_entry: Mapping[type[BertConfig], Entry]) -> Entry:
    """The entry of a table of families that dimensions are of.

    A kind of configuration without an entry has that of the one it is a kind of, and so mostly BERT's.
    """
    return next(kind_to_entry[kind] for kind in type(config).__mro__ if kind in kind_to_entry)


def tensor_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that a checkpoint of these dimensions must hold, name -> shape."""
    return config.tensor_shapes()


def _embeddings(config: BertConfig) -> dict[str, tuple[int, ...]]:
    size = config.embedding_size or config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (config.vocab_size, size),
        "bert.embeddings.position_embeddings.weight": (config.max_position_embeddings, size),
    }
    if config.type_vocab_size:
        shapes["bert.embeddings.token_type_embeddings.weight"] = (config.type_vocab_size, size)
    shapes |= norm_shapes("bert.embeddings.LayerNorm", size)
    if config.embedding_size:
        shapes |= linear_shapes("bert.embeddings_project", size, config.hidden_size)
    return shapes


def _layer(name: str, config: BertConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = config.hidden_size
    for projection in ("query", "key", "value"):
        yield from linear_shapes(f"{name}.attention.self.{projection}", hidden, hidden).items()
    yield from linear_shapes(f"{name}.attention.output.dense", hidden, hidden).items()
    yield from norm_shapes(f"{name}.attention.output.LayerNorm", hidden).items()
    yield from linear_shapes(f"{name}.intermediate.dense", hidden, config.intermediate_size).items()
    yield from linear_shapes(f"{name}.output.dense", config.intermediate_size, hidden).items()
    yield from norm_shapes(f"{name}.output.LayerNorm", hidden).items()


def linear_shapes(
    name: str, inputs: int, outputs: int, *, has_bias: bool = True
) -> dict[str, tuple[int, ...]]:
    """The tensors of a linear layer, name -> shape."""
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs)}
    return shapes | ({f"{name}.bias": (outputs,)} if has_bias else {})


def norm_shapes(name: str, size: int, *, has_bias: bool = True) -> dict[str, tuple[int, ...]]:
    """The tensors of a LayerNorm, name -> shape."""
    parts = ("weight", "bias") if has_bias else ("weight",)
    return {f"{name}.{part}": (size,) for part in parts}


def longest_text(
    file: Path, config: BertConfig, tokenizer: Tokenizer, asked: float | None = None, key: str = ""
) -> int:
    """Tokens read of one text, special tokens included: what is asked for, as far as there are positions.

    Args:
        file: to name in messages.
        config: tells how many positions there are.
        tokenizer: tells how many special tokens a text gets.
        asked: what the checkpoint says; None or infinity leaves it to the positions.
        key: under which it says so.

    Raises:
        CheckpointError: no token of a text would fit beside the special ones.
    """
    least = tokenizer.num_special_tokens_to_add(is_pair=False) + 1
    source = key if asked is not None and asked < config.longest_text else "positions for texts"
    length = config.longest_text if asked is None else min(asked, config.longest_text)
    if length < least:
        raise CheckpointError(
            file,
            f"{source}: expected at least {least} tokens, one of a text and the special ones, found {length}",
        )
    return int(length)
