"""What DeBERTa's config.json may say: read as Transformers reads it, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertriton_export import CheckpointError, ExportError, UnsupportedModelError
from bertriton_export.checkpoint import DebertaConfig, Settings
from bertriton_export.reading import read_checkpoint

CHECKPOINTS = Path(__file__).parents[2] / "data" / "architectures"
DOCUMENT = json.loads((CHECKPOINTS / "deberta-v2-single" / "config.json").read_text("utf-8"))


def fields(**changes: Any) -> dict[str, Any]:
    """What is read from a config.json with some keys changed; None takes a key away."""
    document = {key: value for key, value in (DOCUMENT | changes).items() if value is not None}
    return DebertaConfig.own_fields(Settings(Path("config.json"), document))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("p2c|c2p", ("c2p", "p2c")),
        (" C2P ", ("c2p",)),
        (["p2c"], ("p2c",)),
        ([], ()),
        ("none", ()),
        (None, ()),
    ],
)
def test_pos_att_type_is_a_list_or_a_text(written: Any, expected: tuple[str, ...]) -> None:
    assert expected == fields(pos_att_type=written)["pos_att_type"]


def test_missing_keys_have_the_defaults_of_transformers() -> None:
    keys = (
        "layer_norm_eps",
        "norm_rel_ebd",
        "pooler_hidden_act",
        "position_biased_input",
        "position_buckets",
        "relative_attention",
        "share_att_key",
        "type_vocab_size",
    )

    found = fields(**dict.fromkeys(keys))

    assert found["layer_norm_eps"] == 1e-7
    assert found["head_activation"] == "gelu"
    assert found["has_positions"]
    assert not found["is_relative"]
    assert not found["shares_projections"]
    assert not found["norms_distances"]
    assert found["type_vocab_size"] == found["position_buckets"] == found["conv_kernel_size"] == 0
    assert found["max_relative_positions"] == DOCUMENT["max_position_embeddings"]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"pos_att_type": "p2p|c2p"}, UnsupportedModelError, "pos_att_type ['p2p'], expected some of"),
        ({"pos_att_type": 3}, CheckpointError, "pos_att_type: expected a list of texts"),
        ({"pooler_hidden_act": "swish"}, UnsupportedModelError, "pooler_hidden_act 'swish', expected one of"),
        ({"pooler_hidden_size": 8}, UnsupportedModelError, "pooler_hidden_size 8, expected 16"),
        ({"attention_head_size": 4}, UnsupportedModelError, "attention_head_size 4, expected 8"),
        ({"conv_kernel_size": 4}, UnsupportedModelError, "conv_kernel_size 4, expected an odd number"),
        ({"conv_groups": 2}, UnsupportedModelError, "conv_groups 2, expected 1"),
        ({"conv_act": "elu"}, UnsupportedModelError, "conv_act 'elu', expected one of"),
        ({"position_buckets": 256}, CheckpointError, "position_buckets 256 are not for"),
        ({"position_buckets": 1}, CheckpointError, "position_buckets 1 are not for"),
        (
            {"max_position_embeddings": 2**31 - 1},
            UnsupportedModelError,
            "max_position_embeddings 2147483647, expected 65536 at most",
        ),
        ({"type_vocab_size": -1}, CheckpointError, "type_vocab_size: expected a whole number from 0"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_served_is_refused_by_name(
    changes: dict[str, Any], error: type[ExportError], told: str
) -> None:
    with pytest.raises(error) as caught:
        fields(**changes)

    assert told in str(caught.value)


def test_the_first_deberta_is_another_model(architectures: Path) -> None:
    """v1 projects queries, keys and values by one matrix, and is called otherwise."""
    folder = architectures / "deberta-v2-single"
    document = DOCUMENT | {"model_type": "deberta", "architectures": ["DebertaForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(UnsupportedModelError, match="model_type 'deberta'"):
        read_checkpoint(folder)
