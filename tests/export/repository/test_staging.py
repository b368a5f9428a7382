"""Models move into the repository together or not at all, and nothing else there is touched."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

import pytest

from bertriton_export import RepositoryError
from bertriton_export.repository import staged_repository
from bertriton_export.repository import staging as staging_module

if TYPE_CHECKING:
    from pathlib import Path


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def write(folder: Path, **models: str) -> None:
    for name, content in models.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.pbtxt").write_text(content)


def test_new_models_replace_those_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, a="old", b="old")
    (tmp_path / "a" / "labels.txt").touch()  # of the old model alone

    with staged_repository(tmp_path) as staging:
        write(staging, a="new", c="new")

    assert contents(tmp_path) == {"a/config.pbtxt": "new", "b/config.pbtxt": "old", "c/config.pbtxt": "new"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}


def test_a_reader_sees_no_new_model_before_the_end(tmp_path: Path) -> None:
    write(tmp_path, a="old")

    with staged_repository(tmp_path) as staging:
        write(staging, a="new", b="new")
        seen = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
        assert (seen, (tmp_path / "a" / "config.pbtxt").read_text()) == ({"a"}, "old")


def test_whatever_fails_meanwhile_leaves_everything_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, a="old")

    def fail_while_writing() -> None:
        with staged_repository(tmp_path) as staging:
            write(staging, a="new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_while_writing()

    assert contents(tmp_path) == {"a/config.pbtxt": "old"}
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_a_repository_that_is_not_there_is_made(tmp_path: Path) -> None:
    with staged_repository(tmp_path / "models" / "mine") as staging:
        write(staging, a="new")

    assert contents(tmp_path) == {"models/mine/a/config.pbtxt": "new"}


def test_a_repository_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(RepositoryError, match=f"{tmp_path / 'file'}: cannot write there"),
        staged_repository(tmp_path / "file"),
    ):
        raise AssertionError("nothing can be staged in a file")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_failure_half_way_through_the_swap_puts_everything_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    write(tmp_path, b="old", c="old")
    real = staging_module.exchange

    def exchange(one: Path, other: Path) -> bool:
        if one.name == "c":
            raise OSError(errno.EIO, "input/output error")
        return can_exchange and real(one, other)

    monkeypatch.setattr(staging_module, "exchange", exchange)

    def stage_three_models_of_which_the_last_cannot_be_moved() -> None:
        with staged_repository(tmp_path) as staging:
            write(staging, a="new", b="new", c="new")

    with pytest.raises(RepositoryError, match="cannot write there"):
        stage_three_models_of_which_the_last_cannot_be_moved()

    assert contents(tmp_path) == {"b/config.pbtxt": "old", "c/config.pbtxt": "old"}


def test_a_reader_never_finds_a_model_missing(tmp_path: Path) -> None:
    """As a server that polls: between two renames there would be a moment without a model."""
    write(tmp_path, a="old")
    is_over = threading.Event()
    missing = 0

    def look() -> None:
        nonlocal missing
        while not is_over.is_set():
            missing += not (tmp_path / "a").exists()

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(300):
        with staged_repository(tmp_path) as staging:
            write(staging, a="new")
    is_over.set()
    reader.join()

    assert missing == 0
