"""OUTPUT.partial: what somebody else keeps there is never touched, and a damaged part is never joined."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from bertriton._files import FileJob, Progress, parts_folder, run
from bertriton._files.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton import Client

ROWS = 4100


def _numbered(tmp_path: Path, count: int) -> Path:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": n, "text": f"film {n}"}) + "\n" for n in range(count)))
    return source


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a file of its own": lambda folder: (folder / "thesis.txt").write_text("precious"),
    "a folder": lambda folder: (folder / "whole").mkdir(),
    "a link": lambda folder: (folder / "job.json").symlink_to(folder.parent / "in.jsonl"),
    "no lock": lambda folder: (folder / "job.json").write_text("{}"),
    "a lock with content": lambda folder: (folder / "lock").write_text("precious"),
    "a part of another name": lambda folder: (folder / "book.part").write_text("precious"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("put", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(
    sends_nothing: Client,
    tmp_path: Path,
    put: Callable[[Path], object],
    overwrite: bool,  # noqa: FBT001
) -> None:
    job = FileJob(_numbered(tmp_path, 3), tmp_path / "out.jsonl", overwrite=overwrite)
    parts_folder(job.output).mkdir()
    put(parts_folder(job.output))
    before = sorted(tmp_path.rglob("*")), _files(tmp_path)

    with pytest.raises(JobError, match=r"which is of no job, and .* choose another output"):
        run(job, sends_nothing, {})

    assert (sorted(tmp_path.rglob("*")), _files(tmp_path)) == before


@pytest.mark.parametrize("kind", ["a link", "a file"])
def test_what_is_no_folder_of_parts_is_refused(sends_nothing: Client, tmp_path: Path, kind: str) -> None:
    job = FileJob(_numbered(tmp_path, 3), tmp_path / "out.jsonl", overwrite=True)
    (tmp_path / "elsewhere").mkdir()
    if kind == "a link":
        parts_folder(job.output).symlink_to(tmp_path / "elsewhere")
    else:
        parts_folder(job.output).touch()

    with pytest.raises(JobError, match=f"out.jsonl.partial is {kind}, and"):
        run(job, sends_nothing, {})

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_put_beside_the_parts_meanwhile_stays(client: Client, tmp_path: Path) -> None:
    job = FileJob(_numbered(tmp_path, ROWS), tmp_path / "out.jsonl")
    folder = parts_folder(job.output)

    run(job, client, {}, lambda _: (folder / "thesis.txt").write_text("precious"))

    assert len(job.output.read_text().splitlines()) == ROWS
    assert _files(folder) == {"thesis.txt": "precious"}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut off": (".part", _cut),
    "empty": (".part", lambda path: path.write_bytes(b"")),
    "a bit": (".part", _flip),
    "no record": (".record", lambda path: path.unlink()),
    "an empty record": (".record", lambda path: path.write_text("")),
    "a record of something else": (".record", lambda path: path.write_text('{"failures": {"a": 1}}')),
}


@pytest.mark.parametrize(("suffix", "harm"), DAMAGE.values(), ids=DAMAGE)
def test_a_part_that_was_damaged_is_classified_again(
    client: Client, tmp_path: Path, suffix: str, harm: Callable[[Path], object]
) -> None:
    job = FileJob(_numbered(tmp_path, ROWS), tmp_path / "out.jsonl")
    with pytest.raises(InterruptedError):
        run(job, client, {}, _interrupt_after(4000))
    _, second = sorted(parts_folder(job.output).glob(f"*{suffix}"))[:2]
    harm(second)

    progress = run(job, client, {})

    assert progress.earlier_rows == 2000
    assert [json.loads(line)["id"] for line in job.output.read_text().splitlines()] == list(range(ROWS))


def test_parts_of_another_version_are_refused_as_such(client: Client, tmp_path: Path) -> None:
    job = FileJob(_numbered(tmp_path, ROWS), tmp_path / "out.jsonl")
    with pytest.raises(InterruptedError):
        run(job, client, {}, _interrupt_after(2000))
    folder = parts_folder(job.output)
    description = json.loads((folder / "job.json").read_text())
    # As version 0.1 left it: no layout, and failures without a checksum.
    (folder / "job.json").write_text(json.dumps(description | {"layout": None}))
    for record in folder.glob("*.record"):
        shutil.move(record, record.with_suffix(".failures"))

    with pytest.raises(JobError, match=r"was begun by another version of bertriton: .* --overwrite"):
        run(job, client, {})

    run(FileJob(job.input, job.output, overwrite=True), client, {})
    assert not folder.exists()


def _interrupt_after(rows: int) -> Callable[[Progress], None]:
    def interrupt(progress: Progress) -> None:
        if progress.done_rows >= rows:
            raise InterruptedError

    return interrupt
