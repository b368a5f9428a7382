"""What a configuration of a model family says is read whole or refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rebuilt_checkpoints
from safetensors.numpy import load_file, save_file

from bertriton_export import CheckpointError, TensorError, UnsupportedModelError
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

MANY = 2**31 - 1


def folder_with(name: str, folder: Path, **changes: Any) -> Path:
    """A checkpoint whose config.json says something else; None takes a key away."""
    document = rebuilt_checkpoints.read(name)
    config = document["config"] | changes
    document["config"] = {key: value for key, value in config.items() if value is not None}
    return rebuilt_checkpoints.rebuild(document, folder / name)


@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [
        ("albert-single", {"inner_group_num": 2}, UnsupportedModelError, "inner_group_num 2, expected 1"),
        ("albert-single", {"num_hidden_groups": 9}, UnsupportedModelError, "num_hidden_groups 9, expected"),
        ("albert-single", {"num_hidden_layers": MANY}, UnsupportedModelError, "1000 layers at most"),
        ("big_bird-single", {"use_bias": False}, UnsupportedModelError, "use_bias False, expected True"),
        ("big_bird-single", {"rescale_embeddings": True}, UnsupportedModelError, "rescale_embeddings True"),
        ("big_bird-single", {"attention_type": "dilated"}, UnsupportedModelError, "attention_type 'dilated'"),
        ("mpnet-single", {"relative_attention_num_buckets": 8}, CheckpointError, "num_buckets: expected"),
        ("mpnet-single", {"relative_attention_num_buckets": 64}, TensorError, "relative_attention_bias"),
        ("ernie-single", {"task_type_vocab_size": 7}, TensorError, "task_type_embeddings"),
        ("ernie-multi", {"use_task_id": True}, TensorError, "task_type_embeddings"),
        ("modernbert-single", {"num_hidden_layers": MANY, "layer_types": None}, CheckpointError, "layers"),
        ("modernbert-single", {"layer_types": ["full_attention"]}, CheckpointError, "layer_types"),
        ("modernbert-single", {"layer_types": ["dilated"] * 4}, CheckpointError, "layer_types"),
        ("modernbert-single", {"num_attention_heads": 16}, CheckpointError, "twice num_attention_heads"),
        (
            "modernbert-single",
            {"classifier_pooling": "max"},
            UnsupportedModelError,
            "pooling 'max'",
        ),
        ("modernbert-single", {"classifier_activation": "silu"}, UnsupportedModelError, "'silu', expected"),
        ("modernbert-single", {"hidden_activation": "silu"}, UnsupportedModelError, "'silu', expected"),
        ("modernbert-single", {"local_attention": 1}, CheckpointError, "local_attention: expected"),
        ("modernbert-multi", {"rope_scaling": {"type": "yarn"}}, UnsupportedModelError, "rope_type 'yarn'"),
        ("modernbert-multi", {"local_rope_theta": "far"}, CheckpointError, "local_rope_theta: expected"),
        ("modernbert-multi", {"global_rope_theta": 0}, CheckpointError, "global_rope_theta: expected"),
        (
            "modernbert-single",
            {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}},
            UnsupportedModelError,
            "rope_type 'linear'",
        ),
        (
            "gte-single",
            {"model_type": "new"},
            UnsupportedModelError,
            "'new' cannot be served",
        ),
        ("ernie-multi", {"model_type": "deberta"}, UnsupportedModelError, "the first DeBERTa"),
        ("ernie-multi", {"model_type": "convbert"}, UnsupportedModelError, "use or train a classifier of"),
        ("gte-single", {"num_attention_heads": 16}, CheckpointError, "twice num_attention_heads"),
        ("gte-single", {"hidden_act": "tanh"}, UnsupportedModelError, "hidden_act 'tanh', expected"),
        ("gte-single", {"position_embedding_type": "absolute"}, UnsupportedModelError, "expected 'rope'"),
        ("gte-single", {"rope_parameters": {"rope_theta": 10**400}}, CheckpointError, "rope_theta: expected"),
        ("modernbert-multi", {"local_rope_theta": 10**400}, CheckpointError, "local_rope_theta: expected"),
        ("gte-single", {"rope_parameters": {"rope_theta": 0}}, CheckpointError, "rope_theta: expected"),
        ("gte-single", {"rope_parameters": {"rope_type": "ntk"}}, UnsupportedModelError, "rope_type 'ntk'"),
        ("gte-regression", {"type_vocab_size": 1}, TensorError, "token_type_embeddings"),
        ("nomic_bert-single", {"head_dim": 4}, UnsupportedModelError, "head_dim 4, expected 8"),
        ("nomic_bert-single", {"n_embd": 16}, UnsupportedModelError, "code beside the weights"),
        ("nomic_bert-single", {"type_vocab_size": 0}, CheckpointError, "type_vocab_size: expected"),
        ("nomic_bert-multi", {"intermediate_size": 48}, TensorError, "mlp"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    name: str, changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        read_checkpoint(folder_with(name, tmp_path, **changes))


@pytest.mark.parametrize(
    "name",
    [
        *("albert-regression", "big_bird-single", "data2vec-text-single", "gte-single", "modernbert-single"),
        *("mpnet-single", "nomic_bert-single", "nomic_bert-multi", "gte-multi", "xlm-roberta-xl-single"),
    ],
)
def test_a_layer_that_the_configuration_does_not_count_is_refused(name: str, tmp_path: Path) -> None:
    """Under every family's names, those of layers that lie in one tensor included."""
    config = rebuilt_checkpoints.read(name)["config"]
    key = "num_hidden_groups" if name.startswith("albert") else "num_hidden_layers"
    changes = {key: config[key] - 1, "layer_types": None}

    with pytest.raises(TensorError, match=rf"no layer beyond the {config[key] - 1} that the configuration"):
        read_checkpoint(folder_with(name, tmp_path, **changes))


def test_both_layouts_of_a_modernbert_mean_the_same(tmp_path: Path) -> None:
    old = read_checkpoint(folder_with("modernbert-multi", tmp_path)).config
    new = read_checkpoint(
        folder_with(
            "modernbert-multi",
            tmp_path / "new",
            global_rope_theta=None,
            local_rope_theta=None,
            global_attn_every_n_layers=None,
            layer_types=["full_attention", "sliding_attention", "full_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 80_000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            },
        )
    ).config

    def meaning(config: Any) -> Any:
        return config.global_theta, config.local_theta, [config.is_global(index) for index in range(3)]

    assert meaning(old) == meaning(new) == (80_000.0, 500.0, [True, False, True])


def test_tensors_of_a_gte_may_be_called_as_in_the_code_it_was_trained_with(tmp_path: Path) -> None:
    document = rebuilt_checkpoints.read("gte-single")
    found = read_checkpoint(rebuilt_checkpoints.rebuild(document, tmp_path / "gte")).weights
    other = rebuilt_checkpoints.rebuild(document, tmp_path / "new") / "model.safetensors"
    tensors = {name.replace("gte.", "new."): tensor for name, tensor in load_file(other).items()}

    save_file(tensors, other, metadata={"format": "pt"})

    renamed = read_checkpoint(tmp_path / "new").weights
    assert not renamed.unused
    for name in found:
        np.testing.assert_array_equal(found[name], renamed[name])


def test_a_stacked_tensor_of_a_wrong_shape_is_refused_by_its_name(tmp_path: Path) -> None:
    document = rebuilt_checkpoints.read("gte-single")
    document["tensors"]["gte.encoder.layer.1.mlp.up_gate_proj.weight"] = [63, 16]

    with pytest.raises(TensorError, match=r"layer\.1\.mlp\.up_gate_proj.*\[64, 16\].*\[63, 16\]"):
        read_checkpoint(rebuilt_checkpoints.rebuild(document, tmp_path / "gte"))


@pytest.mark.parametrize(
    ("changes", "longest"),
    [
        ({"attention_type": "original_full"}, 64),
        ({}, 36),
        ({"block_size": None, "num_random_blocks": None}, 64),  # 704 by default, but there are 64 positions
        ({"attention_type": None}, 36),
    ],
)
def test_texts_for_a_sparse_big_bird_are_as_long_as_its_attention_is_full(
    changes: dict[str, Any], longest: int, tmp_path: Path
) -> None:
    folder = folder_with("big_bird-regression", tmp_path, **changes)

    assert read_checkpoint(folder).config.longest_text == longest
