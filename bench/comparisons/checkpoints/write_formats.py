"""Write a checkpoint's weights in the other formats, as far as their readers look at them.

The files are no good to PyTorch, TensorFlow or ONNX Runtime: graphs hold only the nodes that tell something
of the weights, and the vocabulary of Spark NLP's is that of the test data. They serve to measure reading.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import helper, numpy_helper

from bertriton_export.reading.sparknlp.model import MODEL_CLASS
from bertriton_export.reading.tensorflow.leveldb_table import _masked_crc32c
from bertriton_export.reading.tensorflow.protos import _CLASSES as MESSAGES

SPARK_FIELDS = Path(__file__).parents[2] / "tests" / "data" / "sparknlp" / "fields"
MODEL_FILE = "bert_classification_tensorflow"
INDEX_MAGIC = 0xDB4775248B80FB57
FLOAT, STRING = 1, 7  # tensorflow/core/framework/types.proto
NETWORK = "tf_bert_for_sequence_classification"
TORCH_TO_KERAS = (
    ("LayerNorm.weight", "LayerNorm.gamma"),
    ("LayerNorm.bias", "LayerNorm.beta"),
    ("token_type_embeddings.weight", "token_type_embeddings.embeddings"),
    ("position_embeddings.weight", "position_embeddings.embeddings"),
    ("dense.weight", "dense.kernel"),
    ("query.weight", "query.kernel"),
    ("key.weight", "key.kernel"),
    ("value.weight", "value.kernel"),
    ("classifier.weight", "classifier.kernel"),
)

Weights = dict[str, np.ndarray]


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


def keras_variables(weights: Weights) -> Weights:
    """The weights under the names of Keras variables."""
    variables = {}
    for torch_name, array in weights.items():
        name = torch_name
        for torch, keras in TORCH_TO_KERAS:
            name = name.replace(torch, keras)
        name = name.replace(".", "/").replace("layer/", "layer_._")
        variables[f"{NETWORK}/{name}"] = np.ascontiguousarray(array.T) if name.endswith("kernel") else array
    return variables


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


def write_checkpoint(weights: Weights, folder: Path) -> None:
    """`variables.index` and `variables.data-00000-of-00001`, as TensorFlow 2 writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = MESSAGES["TrackableObjectGraph"]()
    entries = {b"": MESSAGES["BundleHeaderProto"](num_shards=1).SerializeToString()}
    with (folder / "variables.data-00000-of-00001").open("wb") as data:
        for index, (name, array) in enumerate(keras_variables(weights).items()):
            key = f"variables/{index:04}/.ATTRIBUTES/VARIABLE_VALUE"
            graph.nodes.add().attributes.add(name="VARIABLE_VALUE", full_name=name, checkpoint_key=key)
            entries[key.encode()] = _entry(FLOAT, array.shape, data.tell(), array.nbytes)
            data.write(array.tobytes())
        text = graph.SerializeToString()
        content = _varint(len(text)) + bytes(4) + text
        entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = _entry(STRING, (), data.tell(), len(content))
        data.write(content)
    (folder / "variables.index").write_bytes(_table(entries))


def _entry(dtype: int, shape: tuple[int, ...], offset: int, size: int) -> bytes:
    entry = MESSAGES["BundleEntryProto"](dtype=dtype, offset=offset, size=size)
    for length in shape:
        entry.shape.dim.add(size=length)
    encoded: bytes = entry.SerializeToString()
    return encoded


def _table(entries: dict[bytes, bytes]) -> bytes:
    data = _block(entries)
    index = _block({max(entries): _varint(0) + _varint(len(data) - 5)})
    handles = _varint(0) * 2 + _varint(len(data)) + _varint(len(index) - 5)
    return data + index + handles.ljust(40, b"\0") + struct.pack("<Q", INDEX_MAGIC)


def _block(entries: dict[bytes, bytes]) -> bytes:
    body = b"".join(
        _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
        for key, value in sorted(entries.items())
    )
    body += struct.pack("<II", 0, 1)  # one restart, at the start
    return body + b"\0" + struct.pack("<I", _masked_crc32c(body + b"\0"))


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def write_sparknlp(weights: Weights, heads: int, file: Path) -> None:
    """A zip with the model file in it, both deflated as the JVM does."""
    folder = file.with_suffix("")
    write_checkpoint(weights, folder)
    graph = MESSAGES["GraphDef"]()
    for name, values in (
        ("layer_._0/attention/self/Reshape/shape/2", {"int_val": [heads]}),
        ("embeddings/LayerNorm/batchnorm/add/y", {"float_val": [1e-12]}),
    ):
        attribute = graph.node.add(name=name, op="Const").attr.add(key="value")
        attribute.value.tensor.MergeFrom(MESSAGES["TensorProto"](**values))
    graph.node.add(name="layer_._0/intermediate/Gelu/Erf", op="Erf")
    model = folder / MODEL_FILE
    with zipfile.ZipFile(model, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("saved_model.pb", graph.SerializeToString())
        for name in ("variables.index", "variables.data-00000-of-00001"):
            archive.write(folder / name, name)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("metadata/part-00000", f'{{"class": "{MODEL_CLASS}"}}')
        archive.write(model, MODEL_FILE)
        for part in sorted(SPARK_FIELDS.rglob("part-*")):
            archive.write(part, f"fields/{part.relative_to(SPARK_FIELDS).as_posix()}")
    shutil.rmtree(folder)
