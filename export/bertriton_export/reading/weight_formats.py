"""The weight formats that a Hugging Face folder may hold, and which one wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import is_there, read_json, refuse_lfs_pointer, short
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.reading.files import map_file, sha256_of_checkpoint
from bertriton_export.reading.onnx_file import onnx_tensors
from bertriton_export.reading.pytorch import torch_tensors
from bertriton_export.reading.safetensors_file import safetensors_tensors
from bertriton_export.reading.tensorflow import checkpoint_tensors, h5_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bertriton_export.checkpoint import LazyTensor


@dataclass(frozen=True)
class WeightFormat:
    """One format: the file's name, and how to list its tensors under Hugging Face names."""

    name: str
    file: str
    tensors: Callable[[Path], Iterator[tuple[str, LazyTensor]]]
    data_pattern: str = ""  # of further files beside it, where it is only an index

    @property
    def shard_index(self) -> str:
        """The file that names the shards where there are several (docs/transformers/big_models)."""
        return f"{self.file}.index.json"


# The first one that a folder holds is read.
WEIGHT_FORMATS: Final = (
    WeightFormat("safetensors", "model.safetensors", safetensors_tensors),
    WeightFormat("PyTorch", "pytorch_model.bin", torch_tensors),
    WeightFormat("Keras", "tf_model.h5", h5_tensors),
    WeightFormat(
        "TensorFlow SavedModel", "variables/variables.index", checkpoint_tensors, "variables.data-*"
    ),
    WeightFormat(
        "TensorFlow SavedModel",
        "saved_model/1/variables/variables.index",
        checkpoint_tensors,
        "variables.data-*",
    ),
    WeightFormat("TensorFlow checkpoint", "variables.index", checkpoint_tensors, "variables.data-*"),
    WeightFormat("ONNX", "model.onnx", onnx_tensors, "model.onnx?data"),
    WeightFormat("ONNX", "onnx/model.onnx", onnx_tensors, "model.onnx?data"),
)

# What else weights may be called.
WEIGHT_SUFFIXES: Final = (
    ".bin",
    ".ckpt",
    ".gguf",
    ".h5",
    ".msgpack",
    ".onnx",
    ".pt",
    ".pth",
    ".safetensors",
)
# How the names of files begin that a Trainer leaves beside the weights.
TRAINING_FILES: Final = ("optimizer.", "scaler.", "scheduler.", "rng_state", "training_args.")


@dataclass(frozen=True)
class FolderWeights:
    """All tensors of a folder, whatever format they are in."""

    format: str  # a WeightFormat's name
    file: Path  # the first weight file, to name where a tensor is missing
    tensors: dict[str, LazyTensor]
    sha256: str  # of the weight files


def read_weights(folder: Path) -> FolderWeights:
    """Find the weights of a Hugging Face folder and list their tensors.

    Raises:
        CheckpointError: there are none, or a file is damaged.
    """
    for weight_format in WEIGHT_FORMATS:
        if files := _files(folder, weight_format):
            tensors = _of_all(files, weight_format)
            data = (
                sorted(files[0].parent.glob(weight_format.data_pattern)) if weight_format.data_pattern else []
            )
            return FolderWeights(weight_format.name, files[0], tensors, sha256_of_checkpoint([*files, *data]))
    raise _without_weights(folder)


def _without_weights(folder: Path) -> CheckpointError:
    """What is wrong with a folder without weights, or with some of another format or name."""
    expected = f"expected {', '.join(weights.file for weights in WEIGHT_FORMATS)}, or the index of its shards"
    others = sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix in WEIGHT_SUFFIXES and not file.name.startswith(TRAINING_FILES)
    )
    if not others:
        return CheckpointError(folder, f"holds no weights: {expected}; put them beside config.json")
    return CheckpointError(
        folder,
        f"holds no weights that can be read: {expected}, found {short(others[0])}; give that the name of its "
        "format, or save the model again with `save_pretrained`",
    )


def _of_all(files: list[Path], weight_format: WeightFormat) -> dict[str, LazyTensor]:
    tensors: dict[str, LazyTensor] = {}
    for file in files:
        refuse_lfs_pointer(file, map_file(file))
        of_file = dict(weight_format.tensors(file))
        for name in sorted(of_file.keys() & tensors.keys()):
            found = f"one in {tensors[name].file.name} as well"
            raise TensorError(file, name, expected="each tensor in one shard", found=found)
        tensors |= of_file
    return tensors


def _files(folder: Path, weight_format: WeightFormat) -> list[Path]:
    if is_there(folder / weight_format.file):
        return [folder / weight_format.file]
    index_file = folder / weight_format.shard_index
    if not is_there(index_file):
        return []
    weight_map = read_json(index_file).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(index_file, "its weight_map is empty")
    # The index is part of the download: it must not lead anywhere else, and no path is made of its names.
    names = {file.name for file in folder.iterdir()}
    for name in weight_map.values():
        if not isinstance(name, str) or name not in names or not is_there(folder / name):
            raise CheckpointError(index_file, f"names a shard {short(name)} that is not a file of the folder")
    return [folder / name for name in sorted(set(weight_map.values()))]
