"""Spark NLP's saved models are read without a JVM: fixtures written by Spark and TensorFlow themselves."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from bertriton import contract
from bertriton_export import CheckpointError, ExportError, TensorError, UnsupportedModelError, export
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.files import crc32c_of, masked
from bertriton_export.reading.sparknlp.java_objects import read_pairs
from bertriton_export.reading.sparknlp.model import DEFAULT_SETTINGS, MODEL_CLASS
from bertriton_export.reading.sparknlp.sequence_file import read_records
from bertriton_export.reading.tensorflow.leveldb_table import read_table
from bertriton_export.reading.tensorflow.protos import parse_message

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parent.parent.parent / "data" / "sparknlp"
FORMATS = FIXTURES.parent / "formats"
MODEL = "bert_classification_tensorflow"
OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
LABELS_PART = "fields/labels/part-00000"
UID = "BERT_FOR_SEQUENCE_CLASSIFICATION_0123456789ab"


def write_metadata(folder: Path, **settings_: Any) -> None:
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    metadata = {"class": MODEL_CLASS, "uid": UID, "paramMap": settings_, "defaultParamMap": {}}
    (folder / "metadata" / "part-00000").write_text(json.dumps(metadata) + "\n", encoding="utf-8")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A saved model assembled from the fixtures, that a test may change."""
    folder = shutil.copytree(FIXTURES, tmp_path / "model")
    write_metadata(folder, caseSensitive=True, maxSentenceLength=32)
    return folder


def zipped(folder: Path, file: Path) -> Path:
    shutil.make_archive(str(file.with_suffix("")), "zip", folder)
    return file


def repacked(model: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the members of the model file."""
    with zipfile.ZipFile(model / MODEL) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(model / MODEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def to_keras_name(name: str) -> str:
    """The reference's name of a tensor, written out independently of the reader."""
    path = name.replace(".", "/").replace("layer/", "layer_._")
    for torch, keras in (
        ("LayerNorm/weight", "LayerNorm/gamma"),
        ("LayerNorm/bias", "LayerNorm/beta"),
        ("word_embeddings/weight", "word_embeddings/WEIGHT"),
        ("embeddings/weight", "embeddings/embeddings"),
        ("/weight", "/kernel"),
        ("WEIGHT", "weight"),
    ):
        path = path.replace(torch, keras)
    return f"tf_bert_for_sequence_classification/{path}:0"


def test_weights_are_the_reference_weights_bit_for_bit(model: Path) -> None:
    reference = np.load(FIXTURES / "reference_weights.npz")
    checkpoint = read_checkpoint(model)
    names = list(checkpoint.weights)

    assert set(reference.files) == {to_keras_name(name) for name in names}
    for name in names:
        expected = reference[to_keras_name(name)]
        expected = expected.T if to_keras_name(name).endswith("kernel:0") else expected
        np.testing.assert_array_equal(expected, checkpoint.weights[name], name)


def test_dimensions_come_from_shapes_and_graph(model: Path) -> None:
    config = read_checkpoint(model).config

    assert (50, 16, 2, 2, 32, 40) == (
        config.vocab_size,
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
        config.max_position_embeddings,
    )
    assert (1e-12, "gelu", 2) == (config.layer_norm_eps, config.activation, config.num_labels)


def test_vocabulary_and_labels_come_from_the_sequence_files(model: Path) -> None:
    checkpoint = read_checkpoint(model)

    assert ("neg", "pos") == checkpoint.labels
    tokens = Tokenizer.from_str(checkpoint.tokenizer_json).encode("tok3 é東 tok7ing nothing").tokens
    assert ["[CLS]", "tok3", "[UNK]", "[UNK]", "tok7", "##ing", "[UNK]", "[SEP]"] == tokens


def test_settings_come_along(model: Path, tmp_path: Path) -> None:
    write_metadata(model, caseSensitive=False, maxSentenceLength=16, coalesceSentences=True)

    export(model, name="tiny", repository=tmp_path / "repository", precision="fp32")

    manifest = json.loads((tmp_path / "repository" / "tiny" / "1" / "manifest.json").read_text())
    assert manifest["source"] == {
        "format": "Spark NLP",
        **DEFAULT_SETTINGS,
        "caseSensitive": False,
        "maxSentenceLength": 16,
        "coalesceSentences": True,
    }
    tokenizer = Tokenizer.from_str(read_checkpoint(model).tokenizer_json)
    assert tokenizer.encode("TOK3").tokens == ["[CLS]", "tok3", "[SEP]"]


def test_the_saved_length_is_a_pipelines_setting_and_not_the_models_limit(model: Path) -> None:
    # Spark NLP saves 128 with what was never told otherwise, and `setMaxSentenceLength(512)` comes later.
    write_metadata(model, maxSentenceLength=16)

    checkpoint = read_checkpoint(model)

    assert checkpoint.max_length == checkpoint.config.max_position_embeddings > 16


def test_sigmoid_models_are_multi_label(model: Path) -> None:
    write_metadata(model, activation="sigmoid", threshold=0.25)

    checkpoint = read_checkpoint(model)

    assert (contract.MULTI_LABEL, 0.25) == (checkpoint.problem_type, checkpoint.threshold)


def test_engine_onnx_is_read(model: Path) -> None:
    expected = read_checkpoint(FORMATS / "gelu")
    write_metadata(model, engine="onnx")
    with zipfile.ZipFile(model / "bert_classification_onnx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(FORMATS / "gelu-traced-13.onnx", "bert_classification_onnx")

    found = read_checkpoint(model)

    assert (expected.config, 40) == (found.config, found.max_length)
    for name in expected.weights:
        np.testing.assert_array_equal(expected.weights[name], found.weights[name], name)


@pytest.mark.parametrize("nested", ["", "bert_base_sequence_classifier_imdb"])
@pytest.mark.parametrize("as_zip", [False, True])
def test_downloads_are_read_with_a_folder_around_them_or_without(
    model: Path, tmp_path: Path, nested: str, *, as_zip: bool
) -> None:
    expected = read_checkpoint(model)
    download = tmp_path / "download"
    shutil.copytree(model, download / nested)
    path = zipped(download, tmp_path / "model.zip") if as_zip else download

    found = read_checkpoint(path)

    assert expected.sha256 == found.sha256
    np.testing.assert_array_equal(
        expected.weights["bert.pooler.dense.weight"], found.weights["bert.pooler.dense.weight"]
    )


@pytest.fixture
def pipeline(model: Path, tmp_path: Path) -> Path:
    """A saved PipelineModel whose second stage is the classifier."""
    folder = tmp_path / "pipeline"
    stages = {f"1_{UID}": MODEL_CLASS, "0_TOKENIZER_ab": "com.johnsnowlabs.nlp.annotators.TokenizerModel"}
    shutil.copytree(model, folder / "stages" / f"1_{UID}")
    for place, name in [
        ("", "org.apache.spark.ml.PipelineModel"),
        ("stages/0_TOKENIZER_ab", stages["0_TOKENIZER_ab"]),
    ]:
        (folder / place / "metadata").mkdir(parents=True)
        (folder / place / "metadata" / "part-00000").write_text(json.dumps({"class": name}), encoding="utf-8")
    return folder


def test_classifier_is_found_among_the_stages_of_a_pipeline(
    model: Path, pipeline: Path, tmp_path: Path
) -> None:
    expected = read_checkpoint(model)

    assert expected.sha256 == read_checkpoint(pipeline).sha256
    assert expected.sha256 == read_checkpoint(zipped(pipeline, tmp_path / "pipeline.zip")).sha256


def test_pipeline_of_two_classifiers_asks_which(pipeline: Path, model: Path) -> None:
    shutil.copytree(model, pipeline / "stages" / "2_other")

    with pytest.raises(UnsupportedModelError, match=r"2 classifiers in it.*stages/2_other"):
        read_checkpoint(pipeline)


def test_models_of_other_classes_are_refused_by_name(model: Path) -> None:
    shutil.copytree(FIXTURES / "metadata", model / "metadata", dirs_exist_ok=True)  # Spark's own Tokenizer

    with pytest.raises(UnsupportedModelError, match=r"found org\.apache\.spark\.ml\.feature\.Tokenizer"):
        read_checkpoint(model)


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        (
            {"engine": "openvino"},
            UnsupportedModelError,
            "engine 'openvino', expected one of tensorflow, onnx",
        ),
        ({"engine": "onnx"}, CheckpointError, "bert_classification_onnx: no such file"),
        (
            {"activation": "tanh"},
            UnsupportedModelError,
            "activation 'tanh', expected one of softmax, sigmoid",
        ),
        ({"maxSentenceLength": "128"}, CheckpointError, "maxSentenceLength: expected a int, found '128'"),
        ({"maxSentenceLength": 0}, CheckpointError, "maxSentenceLength 0"),
        ({"threshold": 7.0}, CheckpointError, r"threshold 7\.0"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(
    model: Path, settings_: dict[str, Any], error: type[ExportError], message: str
) -> None:
    write_metadata(model, **settings_)

    with pytest.raises(error, match=message):
        read_checkpoint(model)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata/part-00000", b"{", "not readable as JSON"),
        ("metadata/part-00000", b"[]", "expected a JSON object, found list"),
        ("metadata/part-00000", b"{}", "names no class"),
        (LABELS_PART, b"", "not an uncompressed Hadoop SequenceFile"),
        (MODEL, None, "bert_classification_tensorflow: no such file"),
        (MODEL, b"PK", "not a whole zip file"),
    ],
)
def test_missing_and_damaged_files_are_named(
    model: Path, name: str, content: bytes | None, message: str
) -> None:
    (model / name).unlink()
    if content is not None:
        (model / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(model)


def test_missing_field_is_named(model: Path) -> None:
    shutil.rmtree(model / "fields" / "vocabulary")

    with pytest.raises(CheckpointError, match="vocabulary: no SequenceFiles"):
        read_checkpoint(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "its record at byte 95 is cut off"),
        (lambda content: content[:99], "its record at byte 95 is cut off"),
        (lambda content: content.replace(b"\0\0\0\xc0", b"\0\0\0\xc1", 1), "contradicts its own length"),
        (lambda content: content.replace(b"SEQ\x06", b"SEQ\x05"), "not an uncompressed Hadoop SequenceFile"),
        (
            lambda content: content.replace(b"java.lang.Integer", b"java.lang.Runtime"),
            "class java.lang.Runtime",
        ),
        (lambda content: content.replace(b"\xac\xed", b"\xac\xee"), "not a well-formed Java object stream"),
        (lambda content: content.replace(b"neg", b"\xff\xff\xff"), "not a well-formed Java object stream"),
        (lambda content: content[:-4] + struct.pack(">i", 7), "expected numbers from 0, one a label"),
        (lambda content: content[:-4] + struct.pack(">i", -1), "'neg': expected one number from 0"),
        (lambda content: content[:-4] + struct.pack(">i", 1), "two entries have the same number"),
    ],
)
def test_wrong_records_each_have_their_own_error(
    model: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    file = model / LABELS_PART
    file.write_bytes(change(file.read_bytes()))

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(model)


def test_sync_marks_between_records_are_skipped(model: Path) -> None:
    file = model / LABELS_PART
    content = file.read_bytes()
    header, sync = content[:95], content[79:95]
    file.write_bytes(header + struct.pack(">i", -1) + sync + content[95:])

    assert ("neg", "pos") == read_checkpoint(model).labels


def without_classifier(members: dict[str, bytes]) -> None:
    """Another name in the object graph, of the same length, and checksums that fit."""
    data, index = (members[f"variables.{end}"] for end in ("data-00000-of-00001", "index"))
    entry = parse_message("BundleEntryProto", read_table(Path("index"), index)[OBJECT_GRAPH], Path("index"))
    changed = data.replace(b"/classifier/kernel", b"/classifier/kermit")
    checksums = [graph_checksum(each[entry.offset :][: entry.size]) for each in (data, changed)]
    before, after = (struct.pack("<I", checksum) for checksum in checksums)
    (end,) = [end for end in range(8, len(index) - 8) if index[end:].startswith(checksum_of(index[:end]))][:1]
    block = index[:end].replace(before, after)
    members["variables.data-00000-of-00001"] = changed
    members["variables.index"] = block + checksum_of(block) + index[end + 4 :]


def checksum_of(content: bytes) -> bytes:
    return struct.pack("<I", masked(crc32c_of(content)))


def graph_checksum(string: bytes) -> int:
    """Of a string tensor: the length as four bytes, then what stands behind the length as it is stored."""
    stored = next(place for place, byte in enumerate(string) if byte < 0x80) + 1
    return masked(crc32c_of(string[stored:], crc32c_of(struct.pack("<I", len(string) - stored - 4))))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (without_classifier, TensorError, r"classifier\.weight.*no such tensor"),
        (lambda members: members.pop("variables.index"), CheckpointError, "variables.index: no such file"),
        (lambda members: members.pop("saved_model.pb"), CheckpointError, "saved_model.pb: no such file"),
        (lambda members: members.update({"saved_model.pb": b""}), UnsupportedModelError, "no function in it"),
        (lambda members: members.update({"../x": b""}), CheckpointError, "'../x' leads out of the archive"),
    ],
)
def test_missing_variables_each_have_their_own_error(
    model: Path, change: Callable[[dict[str, bytes]], object], error: type[ExportError], message: str
) -> None:
    repacked(model, change)

    with pytest.raises(error, match=message):
        read_checkpoint(model)


def test_name_with_half_a_character_is_told_in_a_message_that_can_be_printed(model: Path) -> None:
    (model / "metadata" / "part-00000").write_text('{"class": "half \\ud800"}', encoding="utf-8")

    with pytest.raises(UnsupportedModelError, match=r"found half \\ud800") as caught:
        read_checkpoint(model)

    str(caught.value).encode()


def test_links_out_of_the_folder_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (model / "metadata" / "part-00001").symlink_to(tmp_path / "secret")

    with pytest.raises(CheckpointError, match="part-00001: is a symbolic link out of"):
        read_checkpoint(model)


@given(position=st.floats(0, 1), value=st.integers(0, 255))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_makes_the_reader_fail_otherwise(model: Path, position: float, value: int) -> None:
    content = bytearray((FIXTURES / MODEL).read_bytes())
    content[int(position * (len(content) - 1))] = value
    (model / MODEL).write_bytes(content)

    with suppress(ExportError):
        weights = read_checkpoint(model).weights
        for name in weights:
            assert np.isfinite(weights[name]).all()


@given(position=st.integers(0, 300), replacement=st.binary(max_size=8))
def test_no_changed_record_makes_the_parsers_fail_otherwise(position: int, replacement: bytes) -> None:
    content = (FIXTURES / LABELS_PART).read_bytes()
    changed = content[:position] + replacement + content[position + len(replacement) :]

    with suppress(ExportError):
        for record in read_records(Path("fuzzed"), changed):
            read_pairs(Path("fuzzed"), record)
