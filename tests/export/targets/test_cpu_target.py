"""What a request may hold where a network is not run in pieces: it depends on the network's size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bertriton import contract
from bertriton_export.checkpoint import BertConfig
from bertriton_export.targets import GraphRequest
from bertriton_export.targets.cpu import cpu_network

if TYPE_CHECKING:
    from bertriton.contract import ClassifierInfo

SIZES = BertConfig(
    vocab_size=30_522,
    hidden_size=384,
    num_hidden_layers=6,
    num_attention_heads=12,
    intermediate_size=1536,
    max_position_embeddings=512,
    type_vocab_size=2,
    layer_norm_eps=1e-12,
    activation="gelu",
    num_labels=2,
)


def info(max_length: int = 512) -> ClassifierInfo:
    return contract.ClassifierInfo(
        name="tiny",
        labels=("neg", "pos"),
        problem_type=contract.SINGLE_LABEL,
        max_length=max_length,
        max_batch_size=64,
        checkpoint_sha256="5e0c",
        fingerprint="00f1a2b3c4d5e6f7",
    )


@pytest.mark.parametrize(
    ("hidden", "layers", "tokens"), [(64, 2, 8192), (384, 6, 8192), (768, 12, 1024), (1024, 24, 512)]
)
def test_a_request_to_a_larger_network_holds_fewer_tokens(hidden: int, layers: int, tokens: int) -> None:
    sizes = replace(SIZES, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers)

    assert cpu_network(info(), GraphRequest("fp32", sizes=sizes)).max_request_tokens == tokens


def test_a_text_of_the_greatest_length_is_always_taken() -> None:
    sizes = replace(SIZES, hidden_size=1024, intermediate_size=4096, num_hidden_layers=24)

    network = cpu_network(info(max_length=4096), GraphRequest("fp32", sizes=sizes))

    assert network.max_request_tokens == 4096


@pytest.mark.parametrize(
    ("precision", "hidden", "layers", "tokens"),
    [("int8", 384, 6, 94), ("int8", 768, 12, 11), ("fp32", 384, 6, 28), ("fp32", 768, 12, 3)],
)
def test_a_text_alone_takes_all_threads_from_so_many_tokens(
    precision: str, hidden: int, layers: int, tokens: int
) -> None:
    sizes = replace(SIZES, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers)

    parameters = cpu_network(info(), GraphRequest(precision, sizes=sizes)).parameters

    assert parameters["all_threads_elements"] == str(tokens)


def test_a_network_of_unknown_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"set GraphRequest\.sizes"):
        cpu_network(info(), GraphRequest("fp32"))
