"""A path above a checkpoint, or of one of its files, is opened, or the message says which one to give."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bertriton_export import CheckpointError
from bertriton_export.reading import default_name, read_checkpoint
from bertriton_export.reading.hub import is_hub_id

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"
COMMITS = ("0" * 40, "f" * 40)
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


def test_the_output_folder_of_a_training_names_its_last_checkpoint(one_layer: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for step in (500, 1500, 1000):
        shutil.copytree(one_layer, output / f"checkpoint-{step}")

    assert refusal(output).endswith(f"with 3 checkpoints in it: give one, as {output / 'checkpoint-1500'}")


def test_a_training_that_left_a_model_at_its_top_is_read(one_layer: Path) -> None:
    shutil.copytree(one_layer, one_layer / "checkpoint-500")

    assert read_checkpoint(one_layer).labels == read_checkpoint(one_layer / "checkpoint-500").labels


@pytest.mark.parametrize("has_reference", [True, False])
def test_a_folder_of_the_hubs_cache_is_its_snapshot(
    one_layer: Path, tmp_path: Path, *, has_reference: bool
) -> None:
    cached = tmp_path / "models--org--tiny"
    shutil.copytree(one_layer, cached / "snapshots" / COMMITS[0])
    if has_reference:
        (cached / "snapshots" / COMMITS[1]).mkdir()
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(COMMITS[0])

    assert read_checkpoint(cached).path == cached / "snapshots" / COMMITS[0]
    assert default_name(str(cached)) == "tiny"


def test_a_folder_of_the_hubs_cache_with_several_snapshots_names_one(one_layer: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--org--tiny"
    for commit in COMMITS:
        shutil.copytree(one_layer, cached / "snapshots" / commit)

    assert refusal(cached).endswith(f"give one, as {cached / 'snapshots' / COMMITS[0]}")


def test_a_reference_of_the_cache_leads_nowhere_else(one_layer: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--org--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "snapshots").mkdir()
    (cached / "refs" / "main").write_text(f"../../{one_layer.name}")

    assert "not a checkpoint in a known format" in refusal(cached)


def test_a_folder_above_checkpoints_names_one(one_layer: Path) -> None:
    assert refusal(one_layer.parent).endswith(f"folders that do: give one, as {one_layer}")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_of_a_checkpoint_names_its_folder(one_layer: Path, name: str) -> None:
    assert refusal(one_layer / name).endswith(f"is a file of a checkpoint: give its folder, {one_layer}")


def test_weights_without_a_config_are_told(one_layer: Path) -> None:
    (one_layer / "config.json").unlink()

    assert "holds model.safetensors but no config.json" in refusal(one_layer)


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "flax_model.msgpack", "model.gguf", "best.ckpt"])
def test_weights_of_another_name_or_format_are_told(one_layer: Path, name: str) -> None:
    (one_layer / "model.safetensors").rename(one_layer / name)

    assert f"found {name!r}; give that the name of its format, or save the model again" in refusal(one_layer)
    assert "index.index" not in refusal(one_layer)


def test_a_folder_without_weights_says_which_ones_are_read(one_layer: Path) -> None:
    (one_layer / "model.safetensors").unlink()

    assert "holds no weights: expected model.safetensors, pytorch_model.bin, " in refusal(one_layer)
    assert refusal(one_layer).endswith("put them beside config.json")


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state_0.pth", "training_args.bin"])
def test_what_a_trainer_leaves_beside_weights_is_none(one_layer: Path, name: str) -> None:
    (one_layer / "model.safetensors").rename(one_layer / name)

    assert refusal(one_layer).endswith("put them beside config.json")


def test_archives_are_to_be_unpacked(one_layer: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(one_layer, "model")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
        packed.write(one_layer / "config.json", "config.json")

    assert "is a tar archive: unpack it (tar -xf)" in refusal(tmp_path / "model.tar.gz")
    assert "is a zip that holds no Spark NLP model: unpack it" in refusal(tmp_path / "model.zip")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "vocab.txt"])
def test_a_git_lfs_pointer_is_called_one(one_layer: Path, name: str) -> None:
    (one_layer / name).write_text(POINTER)
    if name == "vocab.txt":
        (one_layer / "tokenizer.json").unlink()

    assert f"{one_layer / name}: is a Git LFS pointer" in refusal(one_layer)
    assert "run `git lfs pull`" in refusal(one_layer)


def test_a_git_lfs_pointer_given_as_the_path_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_text(POINTER)

    assert "is a Git LFS pointer" in refusal(tmp_path / "model.zip")


def test_the_hubs_first_classifiers_need_no_organisation(tmp_path: Path) -> None:
    assert is_hub_id("distilbert-base-uncased-finetuned-sst-2-english")
    assert is_hub_id("roberta-large-mnli@main")
    assert default_name("roberta-large-mnli@main") == "roberta-large-mnli"
    assert not is_hub_id("nowhere")
    assert "called by its organisation too, org/name" in refusal(type(tmp_path)("nowhere"))


@pytest.mark.parametrize("hub", ["https://huggingface.co", "huggingface.co", "hf:/"])
def test_an_address_of_the_hub_is_told_from_an_id(hub: str, tmp_path: Path) -> None:
    address = type(tmp_path)(f"{hub}/org/name")

    assert refusal(address).endswith("called org/name, without the address in front")


def test_what_lies_below_a_path_is_not_looked_through(one_layer: Path) -> None:
    """It may be a whole disk; a socket of somebody's in it is none of our business."""
    (one_layer / "logs" / "run").mkdir(parents=True)
    os.mkfifo(one_layer / "logs" / "run" / "pipe")

    assert read_checkpoint(one_layer).labels


@pytest.mark.parametrize("read", [read_checkpoint, lambda path: default_name(str(path))])
def test_a_pipe_in_the_hubs_cache_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "snapshots" / COMMITS[0]).mkdir(parents=True)
    (tmp_path / "refs").mkdir()
    os.mkfifo(tmp_path / "refs" / "main")

    with pytest.raises(CheckpointError, match="main: is a pipe, a socket or a device"):
        read(tmp_path)


def test_a_pipe_for_the_data_of_a_graph_is_not_waited_for(one_layer: Path) -> None:
    (one_layer / "model.safetensors").unlink()
    shutil.copyfile(DATA / "formats" / "gelu-exported-18.onnx", one_layer / "model.onnx")
    os.mkfifo(one_layer / "model.onnx_data")

    with pytest.raises(CheckpointError, match=r"model\.onnx_data: is a pipe, a socket or a device"):
        read_checkpoint(one_layer)
