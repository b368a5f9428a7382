"""An export replaces its own classifier and nothing else, and is staged where no server looks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bertriton_export import RepositoryError, export
from bertriton_export.repository import staged_repository

TINY_CHECKPOINTS = Path(__file__).parent.parent.parent / "data" / "checkpoints"
FOREIGN_CONFIG = 'backend: "python"\ninput { name: "x" data_type: TYPE_FP32 dims: 1 }\n'


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the classifier `a`, to be copied."""
    repository = tmp_path_factory.mktemp("exported") / "repository"
    export(TINY_CHECKPOINTS / "one-layer", name="a", repository=repository, precision="fp32")
    return repository


@pytest.fixture
def repository(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "repository")


def _export(name: str, repository: Path) -> None:
    export(TINY_CHECKPOINTS / "one-layer", name=name, repository=repository, precision="fp32")


def _state(repository: Path) -> dict[Path, tuple[int, int]]:
    """Which files there are, told from others of the same name."""
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in repository.rglob("*")}


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("a_bert", "is the network of the classifier 'a'"),
        ("a_tokenizer", "is the tokenizer of the classifier 'a'"),
    ],
)
def test_a_part_of_another_classifier_is_not_replaced(repository: Path, name: str, whose: str) -> None:
    before = _state(repository)

    with pytest.raises(RepositoryError, match=f"{repository / name} {whose}.*another name"):
        _export(name, repository)

    assert _state(repository) == before


@pytest.mark.parametrize("suffix", ["_bert", "_tokenizer"])
def test_a_classifier_is_not_replaced_by_a_part_of_another(tmp_path: Path, suffix: str) -> None:
    _export(f"a{suffix}", tmp_path / "repository")
    before = _state(tmp_path / "repository")

    with pytest.raises(RepositoryError, match=f"is the classifier 'a{suffix}'"):
        _export("a", tmp_path / "repository")

    assert _state(tmp_path / "repository") == before


@pytest.mark.parametrize("folder", ["b", "b_bert", "b_tokenizer"])
@pytest.mark.parametrize(
    "config", [FOREIGN_CONFIG, None, "no config {", "\udcff"], ids=["foreign", "none", "damaged", "binary"]
)
def test_a_model_of_somebody_else_s_is_not_replaced(
    repository: Path, folder: str, config: str | None
) -> None:
    (repository / folder / "1").mkdir(parents=True)
    (repository / folder / "1" / "model.py").write_text("precious")
    if config is not None:
        (repository / folder / "config.pbtxt").write_bytes(config.encode(errors="surrogateescape"))
    before = _state(repository)

    with pytest.raises(
        RepositoryError, match=f"{repository / folder} belongs to a model that bertriton did not"
    ):
        _export("b", repository)

    assert _state(repository) == before


def test_a_model_is_no_repository(repository: Path) -> None:
    before = _state(repository)

    with pytest.raises(RepositoryError, match=f"{repository / 'a'} is the folder of a model.*--repository"):
        _export("b", repository / "a")

    assert _state(repository) == before


@pytest.mark.parametrize("length", [201, 250, 100_000])
def test_a_name_that_no_folder_could_have_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(RepositoryError, match=f"a name of {length} characters is too long .* at most 200"):
        _export("a" * length, tmp_path / "repository")

    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_what_is_no_folder_is_not_replaced(repository: Path, tmp_path: Path, kind: str) -> None:
    place = repository / "b_bert"
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        place.write_text("precious")
    else:
        place.symlink_to(tmp_path / ("elsewhere" if kind == "link to a folder" else "nowhere"))
    before = _state(repository)

    with pytest.raises(RepositoryError, match="b_bert belongs to"):
        _export("b", repository)

    assert _state(repository) == before


def test_a_folder_that_somebody_makes_during_the_export_is_not_replaced(repository: Path) -> None:
    def make_a_model(_: str) -> None:
        (repository / "b_bert").mkdir(exist_ok=True)

    with pytest.raises(RepositoryError, match="b_bert belongs to a model"):
        export(
            TINY_CHECKPOINTS / "one-layer",
            name="b",
            repository=repository,
            precision="fp32",
            on_stage=make_a_model,
        )

    assert not (repository / "b").exists()


@pytest.mark.parametrize("lost", ["a", "a_bert", "a_tokenizer"])
def test_an_own_export_is_replaced_even_if_a_part_is_lost(repository: Path, lost: str) -> None:
    shutil.rmtree(repository / lost)
    before = _state(repository)

    _export("a", repository)

    assert {"a", "a_bert", "a_tokenizer"} == {path.name for path in repository.iterdir()}
    assert not before.items() & {item for item in _state(repository).items() if item[0] != repository}


def test_an_export_of_before_contract_2_is_replaced(repository: Path) -> None:
    for name in ("a", "a_bert", "a_tokenizer"):
        file = repository / name / "config.pbtxt"
        text = file.read_text()
        text = text.replace('key: "bertriton.part_of"', 'key: "unknown"')
        text = text.replace(
            'key: "bertriton.contract"\n  value {\n    string_value: "2"',
            'key: "bertriton.contract"\n  value {\n    string_value: "1"',
        )
        file.write_text(text)
    assert '"1"' in (repository / "a" / "config.pbtxt").read_text()

    _export("a", repository)

    assert "part_of" in (repository / "a_bert" / "config.pbtxt").read_text()


def test_the_command_tells_it_in_one_line(repository: Path) -> None:
    words = [
        "export",
        str(TINY_CHECKPOINTS / "one-layer"),
        "--name",
        "a_bert",
        "--repository",
        str(repository),
    ]

    done = subprocess.run(
        [sys.executable, "-m", "bertriton", *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "is the network of the classifier 'a'" in line
    assert "--name" in line


def test_nothing_is_staged_inside_the_repository(repository: Path) -> None:
    seen: list[str] = []

    def look(stage: str) -> None:
        seen.append(stage)
        assert {"a", "a_bert", "a_tokenizer"} == {path.name for path in repository.iterdir()}

    export(TINY_CHECKPOINTS / "one-layer", name="b", repository=repository, precision="fp32", on_stage=look)

    assert len(seen) > 1
    assert [repository] == list(repository.parent.iterdir())


def test_a_repository_that_is_a_link_is_staged_beside_what_it_is(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "repository").symlink_to(repository)

    with staged_repository(tmp_path / "links" / "repository") as staging:
        assert staging.parent.parent == tmp_path
        (staging / "b").mkdir()

    assert (repository / "b").is_dir()


def test_on_another_file_system_than_its_parent_s_it_is_staged_inside_and_said() -> None:
    """As a volume is, mounted where the repository is to be."""
    shared_memory = Path("/dev/shm")  # noqa: S108  # the mount point that every Linux has
    assert shared_memory.stat().st_dev != shared_memory.parent.stat().st_dev
    told: list[str] = []
    before = set(shared_memory.iterdir())
    mine = shared_memory / f"bertriton-test-{os.getpid()}"
    try:
        with staged_repository(shared_memory, told.append) as staging:
            assert staging.parent.parent == shared_memory
            (staging / mine.name).mkdir()
        assert mine.is_dir()
    finally:
        shutil.rmtree(mine, ignore_errors=True)

    assert len(told) == 1
    assert not {path for path in set(shared_memory.iterdir()) - before if path.name.startswith(".bertriton")}


@pytest.mark.parametrize("where", ["below a file", "in a folder that is gone for good"])
def test_a_repository_that_cannot_be_is_said(tmp_path: Path, where: str) -> None:
    if where == "below a file":
        (tmp_path / "file").touch()
        repository = tmp_path / "file" / "repository"
    else:
        (tmp_path / "link").symlink_to(tmp_path / "link")
        repository = tmp_path / "link" / "repository"

    with pytest.raises(RepositoryError, match=f"{repository}: cannot write there"):
        _export("a", repository)
