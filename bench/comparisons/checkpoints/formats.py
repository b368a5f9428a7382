"""One checkpoint in every format, as far as the readers look at it.

The files are no good to PyTorch, TensorFlow or ONNX Runtime: graphs hold only the nodes that tell something
of the weights, and the vocabulary of Spark NLP's is that of the test data. They serve to measure reading.
"""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load_file

from comparisons.checkpoints.random_weights import make_checkpoint
from comparisons.checkpoints.tensorflow_files import keras_variables, write_sparknlp, write_variables

if TYPE_CHECKING:
    from pathlib import Path

    from comparisons.checkpoints.random_weights import Shape

    Weights = dict[str, np.ndarray]

SAFETENSORS = "safetensors"
SPARKNLP = "sparknlp.zip"


def write_formats(folder: Path, shape: Shape) -> int:
    """Write the same random weights into a checkpoint of each of FORMATS; their size in bytes."""
    safetensors = folder / SAFETENSORS
    make_checkpoint(safetensors, shape)
    weights = load_file(safetensors / "model.safetensors")
    for name, write in _NAME_TO_WRITE.items():
        place = folder / name
        shutil.copytree(safetensors, place, ignore=shutil.ignore_patterns("*.safetensors"))
        write(weights, place / name)
    write_sparknlp(weights, shape.heads, folder / SPARKNLP)
    os.sync()  # or the first measurement waits for all that was written
    return (safetensors / "model.safetensors").stat().st_size


def write_torch(weights: Weights, file: Path) -> None:
    """A zip of one pickle and the storages, as `torch.save` lays it out."""
    with zipfile.ZipFile(file, "w") as archive:
        pickled = b"".join(_pickled(key, *item) for key, item in enumerate(weights.items()))
        archive.writestr("archive/data.pkl", b"\x80\x02}(" + pickled + b"u.")
        for key, array in enumerate(weights.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes())


def _pickled(key: int, name: str, array: np.ndarray) -> bytes:
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    def numbers(*values: int) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    strides = [stride // array.itemsize for stride in array.strides]
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cpu")
    storage += b"J" + struct.pack("<i", array.size) + b"tQ"
    arguments = storage + b"K\0" + numbers(*array.shape) + numbers(*strides) + b"\x89}"
    return text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def write_h5(weights: Weights, file: Path) -> None:
    """A dataset a variable, as Keras writes them."""
    with h5py.File(file, "w") as opened:
        for name, array in keras_variables(weights).items():
            opened.create_dataset(f"{name.split('/')[1]}/{name}:0", data=array)


def write_onnx(weights: Weights, file: Path) -> None:
    """Initializers, and the MatMul and Add that tell which weight is which, as PyTorch exports them."""
    nodes, initializers = [], []
    for name, array in weights.items():
        if name.endswith(".weight") and array.ndim == 2 and "encoder" in name:  # noqa: PLR2004 (a matrix)
            constant, bias = f"onnx::{name}", name.replace(".weight", ".bias")
            initializers.append(numpy_helper.from_array(np.ascontiguousarray(array.T), constant))
            nodes.append(helper.make_node("MatMul", [f"{name}/in", constant], [f"{name}/product"]))
            nodes.append(helper.make_node("Add", [bias, f"{name}/product"], [f"{name}/out"]))
        else:
            initializers.append(numpy_helper.from_array(array, name))
    onnx.save(helper.make_model(helper.make_graph(nodes, "bert", [], [], initializers)), file)


_NAME_TO_WRITE = {
    "pytorch_model.bin": write_torch,
    "tf_model.h5": write_h5,
    "variables": write_variables,
    "model.onnx": write_onnx,
}
FORMATS = (SAFETENSORS, *_NAME_TO_WRITE, SPARKNLP)
