"""What tokenizers are held to: the dimensions of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bertriton_export.checkpoint import BertConfig

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def config_of() -> Callable[[int], BertConfig]:
    """The dimensions of a small BERT with embeddings for so many tokens."""

    def make(vocab_size: int) -> BertConfig:
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            type_vocab_size=2,
            layer_norm_eps=1e-12,
            activation="gelu",
            num_labels=2,
        )

    return make
