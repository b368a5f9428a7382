"""What a configuration of a model family says is read whole or refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import rebuilt_checkpoints

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
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    name: str, changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
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
