"""A name that leads to no file is refused: were it taken for none, what the file says would be lost."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from bertriton_export import CheckpointError
from bertriton_export.reading import default_name, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"


def lead_nowhere(file: Path) -> None:
    """As in a cache of the hub that has lost a file of its blobs."""
    file.symlink_to("../../blobs/lost")


def lead_to_itself(file: Path) -> None:
    file.symlink_to(file.name)


def be_a_folder(file: Path) -> None:
    file.mkdir()


@pytest.fixture(params=[lead_nowhere, lead_to_itself, be_a_folder])
def broken(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """Puts what is no file in a file's place."""

    def breaking(file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        request.param(file)
        return file

    return breaking


def assert_refused(folder: Path, file: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"is a symbolic link that leads nowhere|is a folder, expected a file"
    ) as caught:
        read_checkpoint(folder)

    assert caught.value.file == file


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.txt", "adapter_config.json", "adapter_model.bin"),
        *("model.safetensors", "model.safetensors.index.json"),
    ],
)
def test_no_file_of_a_folder_is_overlooked(cased: Path, broken: Callable[[Path], Path], name: str) -> None:
    """The cased checkpoint lost its do_lower_case, and an adapter was not applied."""
    assert_refused(cased, broken(cased / name))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "tf_model.h5", "variables.index", "model.onnx", "onnx/model.onnx"]
)
def test_weights_of_every_format_are_called_by_their_name(
    one_layer: Path, broken: Callable[[Path], Path], name: str
) -> None:
    (one_layer / "model.safetensors").unlink()

    assert_refused(one_layer, broken(one_layer / name))


def test_a_shard_is_called_by_its_name(cased: Path, broken: Callable[[Path], Path]) -> None:
    assert_refused(cased, broken(min(cased.glob("*.safetensors"))))


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "adapter_model.safetensors"])
def test_no_file_of_an_adapter_is_overlooked(
    tmp_path: Path, broken: Callable[[Path], Path], name: str
) -> None:
    folder = shutil.copytree(DATA / "adapters" / "bert-plain", tmp_path / "adapter")
    file = broken(folder / name)

    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(folder, base=str(DATA / "architectures" / "bert-single"))

    assert caught.value.file == file


@pytest.mark.parametrize("name", ["labels.txt", "vocab.txt"])
def test_no_file_of_a_saved_model_is_overlooked(
    tmp_path: Path, three_labels: Path, broken: Callable[[Path], Path], name: str
) -> None:
    with zipfile.ZipFile(DATA / "formats" / "three-labels-saved-model.zip") as archive:
        archive.extractall(tmp_path / "saved")
    shutil.copyfile(three_labels / "tokenizer.json", tmp_path / "saved" / "tokenizer.json")

    assert_refused(tmp_path / "saved", broken(tmp_path / "saved" / "assets" / name))


@pytest.mark.parametrize("name", ["assets", "onnx"])
def test_a_folder_that_leads_nowhere_is_not_overlooked(tmp_path: Path, one_layer: Path, name: str) -> None:
    (one_layer / "model.safetensors").unlink()
    if name == "assets":
        (one_layer / "config.json").unlink()
        with zipfile.ZipFile(DATA / "formats" / "three-labels-saved-model.zip") as archive:
            archive.extractall(one_layer)
    (one_layer / name).symlink_to(tmp_path / "lost")

    assert_refused(one_layer, one_layer / name)


def test_weights_beside_a_graph_are_called_by_their_name(tmp_path: Path) -> None:
    folder = shutil.copytree(DATA / "formats" / "gelu", tmp_path / "gelu")
    (folder / "model.safetensors").unlink()
    model = onnx.load(DATA / "formats" / "gelu-traced-17.onnx")
    beside = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 0}
    onnx.save(model, folder / "model.onnx", **beside)
    (folder / "model.onnx_data").unlink()
    (folder / "model.onnx_data").symlink_to("lost")

    assert_refused(folder, folder / "model.onnx_data")


@pytest.mark.parametrize("has_config", [True, False])
def test_weights_of_tensorflow_are_called_by_their_name(three_labels: Path, *, has_config: bool) -> None:
    (three_labels / "model.safetensors").unlink()
    if not has_config:
        (three_labels / "config.json").unlink()
    with zipfile.ZipFile(DATA / "formats" / "three-labels-saved-model.zip") as archive:
        archive.extractall(three_labels)
    data = three_labels / "variables" / "variables.data-00000-of-00001"
    data.unlink()
    data.symlink_to("lost")

    assert_refused(three_labels, data)


def test_no_part_of_a_model_of_spark_nlp_is_overlooked(tmp_path: Path) -> None:
    folder = shutil.copytree(DATA / "sparknlp", tmp_path / "model")
    (folder / "fields" / "vocabulary" / "part-00009").symlink_to("lost")

    assert_refused(folder, folder / "fields" / "vocabulary" / "part-00009")


def test_a_path_that_leads_nowhere_is_no_id_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine").symlink_to("lost")

    assert_refused(Path("models/mine"), Path("models/mine"))


@pytest.mark.parametrize("target", ["lost", "mine"])
def test_a_path_that_leads_nowhere_gives_no_name(tmp_path: Path, target: str) -> None:
    (tmp_path / "mine").symlink_to(target)

    with pytest.raises(CheckpointError, match="mine: is a symbolic link that leads nowhere or to itself"):
        default_name(str(tmp_path / "mine"))


@pytest.mark.parametrize("target", ["lost", "README.md"])
def test_what_no_reader_asks_for_may_be_lost(tmp_path: Path, target: str) -> None:
    folder = shutil.copytree(DATA / "formats" / "gelu", tmp_path / "gelu")
    (folder / "model.safetensors").unlink()
    model = onnx.load(DATA / "formats" / "gelu-traced-17.onnx")
    beside = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 0}
    onnx.save(model, folder / "model.onnx", **beside)
    (folder / "README.md").symlink_to(target)

    assert read_checkpoint(folder).source["format"] == "ONNX"


def test_links_that_lead_to_files_are_followed(one_layer: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for file in one_layer.iterdir():
        (tmp_path / "cache" / file.name).symlink_to(file)

    assert read_checkpoint(tmp_path / "cache").labels == read_checkpoint(one_layer).labels
