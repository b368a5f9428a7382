"""TensorFlow's weights are read without TensorFlow: tf_model.h5, checkpoint, SavedModel."""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertriton_export import CheckpointError, ExportError, TensorError, UnsupportedModelError, export
from bertriton_export.checkpoint import tensor_shapes
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.files import crc32c_of, masked
from bertriton_export.reading.tensorflow.keras_h5 import h5_tensors
from bertriton_export.reading.tensorflow.leveldb_table import _MAGIC, read_table
from bertriton_export.reading.tensorflow.protos import parse_message

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

TRAILER_BYTES = 5  # behind a block of a table: its compression and a checksum
CLASSIFIER = "classifier/tf_bert_for_sequence_classification/classifier"


@pytest.fixture
def saved_model(three_labels: Path, formats: Path, tmp_path: Path) -> Path:
    """A SavedModel of the three-labels checkpoint, with its tokenizer beside it and labels in assets."""
    folder = tmp_path / "saved"
    with zipfile.ZipFile(formats / "three-labels-saved-model.zip") as archive:
        archive.extractall(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(three_labels / name, folder / name)
    (folder / "assets").mkdir()
    (folder / "assets" / "labels.txt").write_text("bad\nso so\ntrès bien\n", encoding="utf-8")
    return folder


@pytest.fixture
def keras(three_labels: Path, formats: Path) -> Path:
    """The three-labels checkpoint with tf_model.h5."""
    (three_labels / "model.safetensors").unlink()
    shutil.copyfile(formats / "three-labels.h5", three_labels / "tf_model.h5")
    return three_labels


def assert_same_weights(expected: Checkpoint, found: Checkpoint) -> None:
    for name in tensor_shapes(expected.config):
        np.testing.assert_array_equal(expected.weights[name], found.weights[name], name)


def test_h5_weights_are_those_of_safetensors_bit_for_bit(three_labels: Path, formats: Path) -> None:
    expected = read_checkpoint(three_labels)
    shutil.copyfile(formats / "three-labels.h5", three_labels / "tf_model.h5")
    assert expected.source == read_checkpoint(three_labels).source  # safetensors wins

    (three_labels / "model.safetensors").rename(three_labels / "put-away")
    found = read_checkpoint(three_labels)

    assert found.source["format"] == "Keras"
    (three_labels / "put-away").rename(three_labels / "model.safetensors")
    assert_same_weights(read_checkpoint(three_labels), found)


def test_h5_shards_are_read(keras: Path) -> None:
    expected = read_checkpoint(keras).weights["bert.pooler.dense.weight"]
    with h5py.File(keras / "tf_model.h5") as whole, h5py.File(keras / "rest.h5", "w") as rest:
        whole.copy("classifier", rest)
        with h5py.File(keras / "bert.h5", "w") as bert:
            whole.copy("bert", bert)
    (keras / "tf_model.h5").unlink()
    index = {"weight_map": {"any": "rest.h5", "other": "bert.h5"}}
    (keras / "tf_model.h5.index.json").write_text(json.dumps(index), encoding="utf-8")

    found = read_checkpoint(keras)

    np.testing.assert_array_equal(expected, found.weights["bert.pooler.dense.weight"])


def test_saved_model_is_the_checkpoint_it_was_made_from(three_labels: Path, saved_model: Path) -> None:
    expected = read_checkpoint(three_labels)

    found = read_checkpoint(saved_model)

    assert found.source["format"] == "TensorFlow SavedModel"
    assert expected.config == found.config
    assert expected.labels == found.labels
    assert expected.tokenizer_json == found.tokenizer_json
    assert_same_weights(expected, found)


@pytest.mark.parametrize("place", [".", "variables", "saved_model/1/variables"])
def test_checkpoint_beside_config_is_read(three_labels: Path, saved_model: Path, place: str) -> None:
    expected = read_checkpoint(three_labels)
    folder = shutil.copytree(three_labels, three_labels.parent / "checkpoint")
    (folder / "model.safetensors").unlink()
    shutil.copytree(saved_model / "variables", folder / place, dirs_exist_ok=True)

    assert_same_weights(expected, read_checkpoint(folder))


def test_saved_model_exports(saved_model: Path, tmp_path: Path) -> None:
    report = export(saved_model, name="tiny", repository=tmp_path / "repository", precision="fp32")

    assert ("bad", "so so", "très bien") == report.classifier.labels


def test_labels_default_to_those_of_transformers(saved_model: Path) -> None:
    (saved_model / "assets" / "labels.txt").unlink()

    assert ("LABEL_0", "LABEL_1", "LABEL_2") == read_checkpoint(saved_model).labels


def test_vocabulary_may_lie_in_assets(saved_model: Path, cased: Path) -> None:
    shutil.copyfile(cased / "vocab.txt", saved_model / "assets" / "vocab.txt")

    assert "WordPiece" in read_checkpoint(saved_model).tokenizer_json


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("saved_model.pb", b"\xff\xff", "not a SavedModel of TensorFlow"),
        ("variables/variables.index", b"", "not a whole TensorFlow checkpoint index"),
        ("variables/variables.index", b"x" * 100, "not a whole TensorFlow checkpoint index"),
        ("variables/variables.index", None, "variables.index: no such file"),
        ("variables/variables.data-00000-of-00001", None, "variables.data-00000-of-00001: no such file"),
        ("variables/variables.data-00000-of-00001", b"short", "found a file of 5 bytes"),
        ("assets/labels.txt", b"\xff", "not readable as UTF-8"),
        ("assets/labels.txt", b"one\n", "1 labels"),
    ],
)
def test_damaged_saved_models_are_refused(
    saved_model: Path, name: str, content: bytes | None, message: str
) -> None:
    (saved_model / name).unlink()
    if content is not None:
        (saved_model / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(saved_model)


def test_graph_of_another_network_is_refused(saved_model: Path) -> None:
    (saved_model / "saved_model.pb").write_bytes(b"\x12\x02\x12\x00")  # one meta graph with an empty graph

    with pytest.raises(UnsupportedModelError, match="nodes of Transformers' TFBertForSequenceClassification"):
        read_checkpoint(saved_model)


def test_changed_index_is_refused_by_its_checksum(saved_model: Path) -> None:
    file = saved_model / "variables" / "variables.index"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match="the checksum of a block is wrong"):
        read_checkpoint(saved_model)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_damaged_weights_are_refused_by_their_checksum(saved_model: Path, place: float) -> None:
    file = saved_model / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)

    with pytest.raises(TensorError, match=r"data-00000.*: tensor .*expected the checksum 0x"):
        read_checkpoint(saved_model)


def test_every_bit_of_the_weights_is_under_a_checksum(saved_model: Path) -> None:
    """But for the length of the object graph, whose change is another error."""
    file = saved_model / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    for place in range(0, len(content), 997):
        content[place] ^= 0x10
        file.write_bytes(content)
        with pytest.raises(CheckpointError):
            read_checkpoint(saved_model)
        content[place] ^= 0x10


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def block_of(entries: dict[bytes, bytes]) -> bytes:
    """A block of a table with its trailer: keys whole, one restart, a checksum."""
    rows = [b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries.items()]
    block = b"".join(rows) + struct.pack("<II", 0, 1) + b"\0"
    return block + struct.pack("<I", masked(crc32c_of(block)))


def table_of(entries: dict[bytes, bytes]) -> bytes:
    """A whole table as TensorFlow lays it out: a block of data, one that tells where that is, a footer."""
    data = block_of(entries)
    index = block_of({max(entries): varint(0) + varint(len(data) - TRAILER_BYTES)})
    handles = varint(0) + varint(0) + varint(len(data)) + varint(len(index) - TRAILER_BYTES)
    return data + index + handles.ljust(40, b"\0") + struct.pack("<Q", _MAGIC)


@pytest.mark.parametrize("difference", [-4, 4])
def test_tensor_of_more_or_fewer_bytes_than_its_shape_is_refused(saved_model: Path, difference: int) -> None:
    file = saved_model / "variables" / "variables.index"
    entries = read_table(file, file.read_bytes())
    file.write_bytes(table_of(entries))
    read_checkpoint(saved_model)  # the table of this test is a good one
    for key, value in entries.items():
        entry = parse_message("BundleEntryProto", value, file)
        if key and [dim.size for dim in entry.shape.dim] == [3]:  # the labels' bias
            entry.size += difference
            entries[key] = entry.SerializeToString()
    file.write_bytes(table_of(entries))

    with pytest.raises(TensorError, match=rf"12 bytes for shape \[3\].*{12 + difference} bytes"):
        read_checkpoint(saved_model)


def test_two_variables_of_one_name_are_refused(saved_model: Path) -> None:
    """The object graph gives the second layer's variables the names of the first's."""
    file, data = (saved_model / "variables" / f"variables.{end}" for end in ("index", "data-00000-of-00001"))
    entries = read_table(file, file.read_bytes())
    entry = parse_message("BundleEntryProto", entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"], file)
    content = data.read_bytes()
    graph = content[entry.offset : entry.offset + entry.size].replace(b"layer_._1/", b"layer_._0/")
    data.write_bytes(content[: entry.offset] + graph + content[entry.offset + entry.size :])
    text = graph[len(varint(entry.size)) + 4 :]
    entry.crc32c = masked(
        crc32c_of(text, crc32c_of(struct.pack("<I", len(text)) + graph[-len(text) - 4 :][:4]))
    )
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = entry.SerializeToString()
    file.write_bytes(table_of(entries))

    with pytest.raises(TensorError, match=r"'bert\.encoder\.layer\.0\..*': expected one variable, found"):
        read_checkpoint(saved_model)


def test_an_entry_that_stands_twice_in_the_index_is_refused(saved_model: Path) -> None:
    file = saved_model / "variables" / "variables.index"
    entries = read_table(file, file.read_bytes())
    rows = [*entries.items(), max(entries.items())]
    content = b"".join(b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in rows)
    data = content + struct.pack("<II", 0, 1) + b"\0"
    block = data + struct.pack("<I", masked(crc32c_of(data)))
    index = block_of({max(entries): varint(0) + varint(len(block) - TRAILER_BYTES)})
    handles = varint(0) + varint(0) + varint(len(block)) + varint(len(index) - TRAILER_BYTES)
    file.write_bytes(block + index + handles.ljust(40, b"\0") + struct.pack("<Q", _MAGIC))

    with pytest.raises(CheckpointError, match=r"variables\.index: .*the key b'.*' stands twice"):
        read_checkpoint(saved_model)


def test_missing_variable_is_named(keras: Path) -> None:
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        del file[f"{CLASSIFIER}/kernel:0"]

    with pytest.raises(TensorError, match=r"classifier\.weight.*no such tensor"):
        read_checkpoint(keras)


def test_variable_of_an_adapter_is_refused(keras: Path) -> None:
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        file["bert/adapter/kernel:0"] = np.zeros(3, np.float32)

    with pytest.raises(TensorError, match=r"bert/adapter/kernel:0.*an adapter's tensor"):
        read_checkpoint(keras)


def test_variable_that_stands_twice_is_refused(keras: Path) -> None:
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        file["other/classifier/bias:0"] = np.ones(3, np.float32)

    with pytest.raises(TensorError, match=r"'classifier\.bias': expected one dataset, found .* and other/"):
        read_checkpoint(keras)


def test_groups_within_groups_without_end_are_refused(keras: Path) -> None:
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        file.create_group("/".join("a" * 100))

    with pytest.raises(CheckpointError, match="groups are nested more than 50 deep"):
        read_checkpoint(keras)


def test_weights_in_other_files_are_refused(keras: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(12))
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        del file[f"{CLASSIFIER}/bias:0"]
        file.create_dataset(f"{CLASSIFIER}/bias:0", (3,), np.float32, external=[(secret, 0, 12)])

    with pytest.raises(TensorError, match="in one piece of this file"):
        read_checkpoint(keras)


def test_links_to_other_files_are_not_followed(keras: Path) -> None:
    keras.joinpath("tf_model.h5").rename(keras / "other.h5")
    with h5py.File(keras / "tf_model.h5", "w") as file:
        file["classifier"] = h5py.ExternalLink("other.h5", "classifier")

    with pytest.raises(TensorError, match=r"classifier\.bias.*no such tensor"):
        read_checkpoint(keras)


def test_datasets_that_could_be_bombs_are_refused(keras: Path) -> None:
    with h5py.File(keras / "tf_model.h5", "r+") as file:
        file.create_dataset("bomb:0", (10**6, 10**6), np.float32, chunks=(1000, 1000), compression="gzip")

    with pytest.raises(TensorError, match=r"bomb:0.*in one piece of this file"):
        read_checkpoint(keras)


@pytest.mark.parametrize("size", [0, 10, 3000, 200_000])
def test_cut_off_h5_is_refused(keras: Path, size: int) -> None:
    content = (keras / "tf_model.h5").read_bytes()
    (keras / "tf_model.h5").write_bytes(content[:size])

    with pytest.raises(CheckpointError, match=r"not a whole HDF5 file"):
        read_checkpoint(keras)


@given(position=st.floats(0, 1), value=st.integers(0, 255), name=st.sampled_from(["index", "data", "graph"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_makes_the_reader_fail_otherwise(
    saved_model: Path, position: float, value: int, name: str
) -> None:
    file = {
        "index": saved_model / "variables" / "variables.index",
        "data": saved_model / "variables" / "variables.data-00000-of-00001",
        "graph": saved_model / "saved_model.pb",
    }[name]
    content = file.read_bytes()
    place = int(position * (len(content) - 1))
    file.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])

    with suppress(ExportError):
        weights = read_checkpoint(saved_model).weights
        for tensor in weights:
            assert np.isfinite(weights[tensor]).all()

    file.write_bytes(content)


@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_bytes_make_the_h5_reader_fail_otherwise(
    keras: Path, changes: list[tuple[float, int]]
) -> None:
    content = bytearray((keras / "tf_model.h5").read_bytes())
    for position, value in changes:
        content[int(position * (len(content) - 1))] = value
    with tempfile.NamedTemporaryFile(dir=keras, suffix=".h5") as file:  # HDF5 knows open files by their inode
        file.write(content)
        file.flush()

        with suppress(ExportError):
            for _, tensor in h5_tensors(Path(file.name)):
                assert tensor.load().size
