"""What TensorFlow 2 and Spark NLP save, written as far as readers look at it.

Nothing here is the exporter's: a file that its own code had written would only show that it agrees with
itself. Numbers of messages' fields are those of tensorflow/core/protobuf and tensorflow/core/framework; the
index is a table of LevelDB, https://github.com/google/leveldb/blob/main/doc/table_format.md.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

if TYPE_CHECKING:
    Weights = dict[str, np.ndarray]

# The vocabulary and labels of the tests' own Spark NLP model.
SPARK_FIELDS = Path(__file__).parents[3] / "tests" / "data" / "sparknlp" / "fields"
SPARK_CLASS = "com.johnsnowlabs.nlp.annotators.classifier.dl.BertForSequenceClassification"
MODEL_FILE = "bert_classification_tensorflow"
INDEX_MAGIC = 0xDB4775248B80FB57
FLOAT, STRING = 1, 7  # tensorflow/core/framework/types.proto
CRC_MASK_DELTA = 0xA282EAD8
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


def write_variables(weights: Weights, folder: Path) -> None:
    """`variables.index` and `variables.data-00000-of-00001`, as TensorFlow 2 writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = []
    entries = {b"": _field(1, 1)}  # BundleHeaderProto: one shard
    with (folder / "variables.data-00000-of-00001").open("wb") as data:
        for index, (name, array) in enumerate(keras_variables(weights).items()):
            key = f"variables/{index:04}/.ATTRIBUTES/VARIABLE_VALUE".encode()
            nodes.append(_trackable_object(name, key))
            entries[key] = _bundle_entry(FLOAT, array.shape, data.tell(), array.tobytes())
            data.write(array.tobytes())
        graph = b"".join(_field(1, node) for node in nodes)  # TrackableObjectGraph
        length = struct.pack("<I", len(graph))  # which checksums are taken of, however it is stored
        content = struct.pack("<I", _masked_crc32c(length)) + graph
        entry = _bundle_entry(STRING, (), data.tell(), _varint(len(graph)) + content, summed=length + content)
        entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = entry
        data.write(_varint(len(graph)) + content)
    (folder / "variables.index").write_bytes(_table(entries))


def write_sparknlp(weights: Weights, heads: int, file: Path) -> None:
    """A zip with the model file in it, both deflated as the JVM does."""
    folder = file.with_suffix("")
    write_variables(weights, folder)
    model = folder / MODEL_FILE
    with zipfile.ZipFile(model, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("saved_model.pb", _graph_def(heads))
        for name in ("variables.index", "variables.data-00000-of-00001"):
            archive.write(folder / name, name)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("metadata/part-00000", f'{{"class": "{SPARK_CLASS}"}}')
        archive.write(model, MODEL_FILE)
        for part in sorted(SPARK_FIELDS.rglob("part-*")):
            archive.write(part, f"fields/{part.relative_to(SPARK_FIELDS).as_posix()}")
    shutil.rmtree(folder)


def _trackable_object(name: str, key: bytes) -> bytes:
    """A TrackableObject of one SerializedTensor."""
    return _field(2, _field(1, b"VARIABLE_VALUE") + _field(2, name.encode()) + _field(3, key))


def _bundle_entry(
    dtype: int, shape: tuple[int, ...], offset: int, content: bytes, summed: bytes | None = None
) -> bytes:
    """A BundleEntryProto; the checksum is of what is stored, where it is not said otherwise."""
    dimensions = b"".join(_field(2, _field(1, length)) for length in shape)
    checksum = struct.pack("<I", _masked_crc32c(content if summed is None else summed))
    place = _field(4, offset) + _field(5, len(content))
    return _field(1, dtype) + _field(2, dimensions) + place + _varint(6 << 3 | 5) + checksum


def _graph_def(heads: int) -> bytes:
    """A GraphDef of the nodes that tell heads, epsilon and activation."""
    epsilon = struct.pack("<f", 1e-12)
    nodes = (
        _constant("layer_._0/attention/self/Reshape/shape/2", _field(7, heads)),  # TensorProto.int_val
        _constant("embeddings/LayerNorm/batchnorm/add/y", _field(5, epsilon)),  # TensorProto.float_val
        _field(1, b"layer_._0/intermediate/Gelu/Erf") + _field(2, b"Erf"),
    )
    return b"".join(_field(1, node) for node in nodes)


def _constant(name: str, tensor: bytes) -> bytes:
    """A NodeDef whose attribute `value` is a TensorProto."""
    attribute = _field(1, b"value") + _field(2, _field(8, tensor))
    return _field(1, name.encode()) + _field(2, b"Const") + _field(5, attribute)


def _field(number: int, value: int | bytes) -> bytes:
    """One field of a protobuf message: a number, or bytes behind their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


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


def _masked_crc32c(content: bytes) -> int:
    crc: int = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + CRC_MASK_DELTA) & 0xFFFFFFFF
