"""What is written to a model repository, and that it is all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton.contract import ClassifierInfo, is_classifier
from bertriton_export import RepositoryError, TensorError, export

ROOT = Path(__file__).parent.parent.parent.parent
GENERATED = ("model.onnx", ".onnx.data", "tokenizer.json", "manifest.json", "MODEL_CARD.md")


def _parameters(config_file: Path) -> dict[str, str]:
    config = text_format.Parse(config_file.read_text(encoding="utf-8"), ModelConfig())
    return {key: value.string_value for key, value in config.parameters.items()}


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_committed_repository_is_what_the_exporter_writes(exported_imdb: Path) -> None:
    expected = {
        path: content for path, content in files_below(exported_imdb).items() if not path.endswith(GENERATED)
    }

    committed = files_below(ROOT / "model_repository")

    assert expected == {path: content for path, content in committed.items() if not path.endswith(GENERATED)}


def test_every_config_is_a_model_config_named_after_its_folder(exported_imdb: Path) -> None:
    configs = {
        file.parent.name: text_format.Parse(file.read_text(encoding="utf-8"), ModelConfig())
        for file in exported_imdb.glob("*/config.pbtxt")
    }

    assert {"imdb", "imdb_tokenizer", "imdb_bert"} == set(configs)
    assert all(config.name == folder for folder, config in configs.items())


def test_only_the_ensemble_passes_for_a_classifier_and_tells_what_it_is(exported_imdb: Path) -> None:
    for file in exported_imdb.glob("*/config.pbtxt"):
        config = text_format.Parse(file.read_text(encoding="utf-8"), ModelConfig())
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        assert is_classifier(parameters) == (file.parent.name == "imdb")
        if is_classifier(parameters):
            info = ClassifierInfo.from_parameters(config.name, config.max_batch_size, parameters)

    assert info.labels == ("neg", "pos")
    assert info.max_length == 512


def test_manifest_holds_the_hash_of_every_file(exported_imdb: Path) -> None:
    manifest = json.loads((exported_imdb / "imdb" / "1" / "manifest.json").read_text(encoding="utf-8"))

    hashes = {
        path: hashlib.sha256(content).hexdigest() for path, content in files_below(exported_imdb).items()
    }
    del hashes["imdb/1/manifest.json"], hashes["imdb/MODEL_CARD.md"]  # an evaluation changes the card
    assert hashes == manifest["sha256"]
    weights = (ROOT / "checkpoints" / "imdb-minilm" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == manifest["classifier"]["checkpoint_sha256"]
    assert {"bertriton", "python", "onnx", "onnxruntime", "tokenizers", "numpy"} == set(manifest["versions"])


def test_export_replaces_models_of_the_same_name_only(one_layer: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    export(one_layer, name="a", repository=repository, labels=["x", "y"], precision="fp32")
    export(one_layer, name="b", repository=repository, precision="fp32")
    before = files_below(repository / "b_bert")

    export(one_layer, name="a", repository=repository, labels=["left", "right"], precision="fp32")

    assert (repository / "a_bert" / "labels.txt").read_text() == "left\nright\n"
    assert before == files_below(repository / "b_bert")
    models = {"a", "a_tokenizer", "a_bert", "b", "b_tokenizer", "b_bert"}
    assert models == {path.name for path in repository.iterdir()}


def test_name_defaults_to_the_folder(one_layer: Path, tmp_path: Path) -> None:
    report = export(one_layer, repository=tmp_path / "repository", precision="fp32")

    assert report.classifier.name == "one-layer"


def test_every_part_of_an_export_has_its_one_fingerprint(one_layer: Path, tmp_path: Path) -> None:
    report = export(one_layer, name="a", repository=tmp_path, precision="fp32")

    found = {file.parent.name: _parameters(file) for file in tmp_path.glob("*/config.pbtxt")}
    manifest = json.loads((tmp_path / "a" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert {
        found["a"]["bertriton.fingerprint"],
        found["a_tokenizer"]["fingerprint"],
        manifest["classifier"]["fingerprint"],
    } == {report.classifier.fingerprint}
    assert report.classifier.fingerprint in (tmp_path / "a" / "MODEL_CARD.md").read_text(encoding="utf-8")
    again = export(one_layer, name="b", repository=tmp_path, precision="fp32")
    assert again.classifier.fingerprint == report.classifier.fingerprint


@pytest.mark.parametrize("name", ["", "../up", "a/b", "with space", ".hidden", "-flag"])
def test_names_that_cannot_be_folders_are_refused(one_layer: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RepositoryError, match="cannot name a model"):
        export(one_layer, name=name, repository=tmp_path / "repository", precision="fp32")


def test_failed_export_leaves_the_old_models(one_layer: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    export(one_layer, name="a", repository=repository, precision="fp32")
    before = files_below(repository)
    file = one_layer / "config.json"
    file.write_text(file.read_text().replace('"intermediate_size": 64', '"intermediate_size": 65'))

    with pytest.raises(TensorError):
        export(one_layer, name="a", repository=repository, precision="fp32")

    assert before == files_below(repository)


def test_repository_that_cannot_be_written_is_named(one_layer: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RepositoryError, match=f"{tmp_path / 'file'}: cannot write there"):
        export(one_layer, repository=tmp_path / "file", precision="fp32")


def test_files_are_readable_by_another_user(exported_imdb: Path) -> None:
    """Triton's container runs as a user of its own."""
    modes = {path: path.stat().st_mode for path in exported_imdb.rglob("*")}
    others_may_read = os.umask(0)
    os.umask(others_may_read)
    assert all(mode & 0o044 == 0o044 & ~others_may_read for mode in modes.values())
