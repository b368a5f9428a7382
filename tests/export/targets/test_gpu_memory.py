"""The memory that a config allows on a GPU holds what its warm-up and its largest request need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton_export import export
from bertriton_export.checkpoint import BertConfig
from bertriton_export.targets.gpu_memory import network_bytes, token_bytes, weight_bytes
from bertriton_export.targets.network_config import MAX_REQUEST_TOKENS

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "three-labels"
GIB = 2**30


def sizes(hidden: int, layers: int, **others: Any) -> BertConfig:
    return BertConfig(
        **{
            "vocab_size": 30_522,
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // 64,
            "intermediate_size": 4 * hidden,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "activation": "gelu",
            "num_labels": 2,
            **others,
        }
    )


@pytest.mark.parametrize(
    ("hidden", "layers", "million"),
    [(384, 6, 22.7), (768, 12, 109.5), (1024, 24, 335.1)],
    ids=["MiniLM", "base", "large"],
)
def test_weights_are_those_that_the_names_promise(hidden: int, layers: int, million: float) -> None:
    assert weight_bytes(sizes(hidden, layers), 1) / 1e6 == pytest.approx(million, abs=0.1)


def test_memory_grows_by_tokens_and_by_the_bytes_of_a_value() -> None:
    large = sizes(1024, 24)

    # Six hidden and two intermediate vectors.
    assert token_bytes(large, 2) == 2 * (6 * 1024 + 2 * 4096)
    one, two = (network_bytes(large, 2, tokens) for tokens in (1000, 2000))
    assert two - one == pytest.approx(1.25 * 1000 * token_bytes(large, 2))
    assert network_bytes(large, 4, 1000) > 1.9 * (network_bytes(large, 2, 1000) - GIB)


def test_the_largest_request_to_bert_large_fits_a_gpu_of_16_gib_in_fp16() -> None:
    assert 8 * GIB < network_bytes(sizes(1024, 24), 2, MAX_REQUEST_TOKENS) < 12 * GIB
    assert network_bytes(sizes(768, 12), 2, MAX_REQUEST_TOKENS) < 8 * GIB


def test_a_config_allows_what_its_largest_warm_up_needs(tmp_path: Path) -> None:
    export(CHECKPOINT, name="tiny", repository=tmp_path, target="cuda")

    bert = text_format.Parse((tmp_path / "tiny_bert" / "config.pbtxt").read_text(), ModelConfig())
    allowed = int(bert.parameters["gpu_mem_limit"].string_value)
    own = json.loads((CHECKPOINT / "config.json").read_text())
    tiny = sizes(
        own["hidden_size"],
        own["num_hidden_layers"],
        num_attention_heads=own["num_attention_heads"],
        intermediate_size=own["intermediate_size"],
        vocab_size=own["vocab_size"],
        max_position_embeddings=own["max_position_embeddings"],
        num_labels=3,
    )
    warmed = max(sample.batch_size * sample.inputs["input_ids"].dims[0] for sample in bert.model_warmup)
    assert allowed == network_bytes(tiny, 2, MAX_REQUEST_TOKENS)
    assert allowed > network_bytes(tiny, 2, warmed)
