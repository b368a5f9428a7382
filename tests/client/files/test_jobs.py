"""Jobs that meet trouble: told in one line before a text is sent, or resumable; failed rows are counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import BertritonError, Client, InvalidTextError
from bertriton._files import FileFormatError, FileJob, Progress, parts_folder, run
from bertriton._files.errors import JobError
from bertriton._files.failures import Failures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_server import LocalServer


@pytest.fixture
def command(imdb_server: LocalServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    def classify(source: Path, output: Path, before: str = "") -> subprocess.CompletedProcess[str]:
        words = f"{sys.executable} -m bertriton classify --input {source} --output {output}"
        environment = os.environ | {"BERTRITON_URL": imdb_server.grpc_url}
        return subprocess.run(
            ["bash", "-c", f"{before} {words}"], capture_output=True, text=True, check=False, env=environment
        )

    return classify


def _rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _numbered(tmp_path: Path, count: int) -> Path:
    return _rows(tmp_path / "in.jsonl", [{"id": number, "text": f"film {number}"} for number in range(count)])


def _no_texts(*_: object, **__: object) -> None:
    pytest.fail("a text was sent")


def test_an_output_that_cannot_be_is_refused_before_a_text_is_sent(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "classify_iter", _no_texts)
    source = _numbered(tmp_path, 3)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()

    for output, problem in [
        (tmp_path / "missing" / "out.csv", f"there is no folder {tmp_path / 'missing'}"),
        (tmp_path / "file" / "out.csv", "there is no folder"),
        (tmp_path / "folder.csv", "exists already"),
        (tmp_path / f"{'x' * 300}.csv", "File name too long"),
    ]:
        with pytest.raises(JobError) as caught:
            run(FileJob(source, output), client, {})
        assert problem in str(caught.value)
    with pytest.raises(JobError, match="it is a folder"):
        run(FileJob(source, tmp_path / "folder.csv", overwrite=True), client, {})


def test_a_disk_that_fills_up_keeps_what_is_finished(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    rows = [{"id": number, "text": "film", "more": "x" * (number // 2000 * 2000)} for number in range(4100)]
    source, output = _rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"

    full = command(source, output, "ulimit -f 1000; exec")
    assert full.returncode == 1
    (line,) = full.stderr.splitlines()
    assert line.startswith(f"Error: cannot write {output}: File too large; 2,000 finished rows are kept in ")
    assert not output.exists()

    done = command(source, output)
    assert (done.returncode, done.stderr) == (0, f"4,100 rows classified into {output}\n")
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == list(range(4100))


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_commands_do_not_write_one_output(client: Client, tmp_path: Path, overwrite: bool) -> None:  # noqa: FBT001
    job = FileJob(_numbered(tmp_path, 4100), tmp_path / "out.jsonl", overwrite=overwrite)
    refused = []

    def try_another(_: Progress) -> None:
        with pytest.raises(JobError) as caught:
            run(job, client, {})
        refused.append(str(caught.value))

    progress = run(job, client, {}, try_another)

    assert progress.done_rows == 4100
    assert len(refused) == 3
    lock = parts_folder(job.output) / "lock"
    assert set(refused) == {f"another command is writing there now: it holds {lock}"}
    assert len(job.output.read_text().splitlines()) == 4100


def test_many_commands_at_once_make_one_output(client: Client, tmp_path: Path) -> None:
    source, output = _numbered(tmp_path, 600), tmp_path / "out.jsonl"
    outcomes: list[object] = []

    def try_it() -> None:
        try:
            outcomes.append(run(FileJob(source, output), client, {}).done_rows)
        except JobError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count(600) == 1
    assert len(output.read_text().splitlines()) == 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_lock_dies_with_its_process(
    command: Callable[..., subprocess.CompletedProcess[str]], imdb_server: LocalServer, tmp_path: Path
) -> None:
    source, output = _numbered(tmp_path, 10_000), tmp_path / "out.jsonl"
    words = ["classify", "--input", str(source), "--output", str(output), "--url", imdb_server.grpc_url]
    with subprocess.Popen([sys.executable, "-m", "bertriton", *words], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out.jsonl.partial/*.part")) and time.monotonic() < deadline:
            time.sleep(0.02)
        second = command(source, output)
        process.send_signal(signal.SIGKILL)

    assert second.returncode == 1
    assert "another command is writing there now" in second.stderr
    assert second.stderr.count("\n") == 1
    assert command(source, output).returncode == 0


class _InterruptedError(Exception):
    """Stands for whatever ends a run."""


def test_failed_rows_of_earlier_runs_are_counted(client: Client, tmp_path: Path) -> None:
    rows = [{"text": "film" if number % 1000 else None} for number in range(4100)]
    job = FileJob(_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")

    def interrupt(_: Progress) -> None:
        raise _InterruptedError

    with pytest.raises(_InterruptedError):
        run(job, client, {}, interrupt)
    progress = run(job, client, {})

    assert 0 < progress.earlier_rows < 4100
    assert (progress.failed_rows, progress.all_failed) == (5, False)
    assert list(progress.failures.lines()) == [
        "5 x expected a string or a pair of strings, found nothing (rows 1, 1,001, 2,001, ...)"
    ]
    errors = [json.loads(line)["predicted_error"] for line in job.output.read_text().splitlines()]
    assert set(errors) == {None, "expected a string or a pair of strings, found nothing"}


def test_failed_rows_are_told_by_reason(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    rows = [{"text": "good"}, {"text": None}, {"text": 5}, {"text": "a\ud800"}, {"text": None}]

    done = command(_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")

    assert done.returncode == 0
    first, *reasons = done.stderr.splitlines()
    assert first == f"5 rows classified into {tmp_path / 'out.jsonl'}, 4 of them not, see the error column"
    assert reasons[0] == "2 x expected a string or a pair of strings, found nothing (rows 2, 5)"
    assert len(reasons) == 3


def test_a_job_in_which_every_row_failed_fails(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    source = _rows(tmp_path / "in.jsonl", [{"text": None}] * 3)

    done = command(source, tmp_path / "out.csv")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: none of the 3 rows could be classified"
    assert "3 x expected a string or a pair of strings, found nothing (rows 1, 2, 3)" in done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


def test_a_file_without_rows_did_not_fail(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("text\n")

    assert command(tmp_path / "in.csv", tmp_path / "out.csv").returncode == 0


def test_reasons_that_differ_in_numbers_are_one_and_many_reasons_are_cut() -> None:
    def errors(message: str, count: int) -> list[BertritonError]:
        return [InvalidTextError(message.format(number)) for number in range(count)]

    failures = Failures()
    failures.add(errors("text {0}: {0},000 bytes of UTF-8", 40), 1)
    for reason in "abcdefghijkl":
        failures.add(errors(f"reason {reason}", 1), 100)
    again = Failures.from_json(json.loads(json.dumps(failures.to_json())))

    lines = list(again.lines())
    assert lines[0] == "40 x 0,000 bytes of UTF-8 (rows 1, 2, 3, ...)"
    assert lines[1] == "1 x reason a (row 100)"
    assert lines[-1] == "3 x for other reasons"
    assert len(lines) == 11


@pytest.mark.parametrize("how", ["itself", "symbolic", "hard"])
def test_an_output_does_not_replace_its_input(client: Client, tmp_path: Path, how: str) -> None:
    source = _numbered(tmp_path, 3)
    output, before = tmp_path / "out.jsonl", source.read_text()
    if how == "itself":
        output = tmp_path / "." / "in.jsonl"
    elif how == "symbolic":
        output.symlink_to("in.jsonl")
    else:
        output.hardlink_to(source)

    with pytest.raises(JobError, match="is the input itself"):
        run(FileJob(source, output, overwrite=True), client, {})

    assert source.read_text() == before


def test_a_link_is_followed_and_locks_what_it_leads_to(client: Client, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "out.jsonl", tmp_path / "disk" / "there.jsonl"
    link.symlink_to(target)
    assert parts_folder(link) == parts_folder(target)

    run(FileJob(_numbered(tmp_path, 3), link), client, {})

    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 3


def test_what_is_no_regular_file_is_neither_read_nor_written(client: Client, tmp_path: Path) -> None:
    full, pipe = tmp_path / "full.csv", tmp_path / "pipe.csv"
    full.symlink_to("/dev/full")
    os.mkfifo(pipe)

    with pytest.raises(JobError, match="/dev/full: it is not a regular file"):
        run(FileJob(_numbered(tmp_path, 3), full, overwrite=True), client, {})
    with pytest.raises(FileFormatError, match="File name too long"):
        run(FileJob(tmp_path / f"{'x' * 300}.csv", tmp_path / "out.csv"), client, {})
    with pytest.raises(FileFormatError, match="is not a regular file, and files are read twice"):
        run(FileJob(pipe, tmp_path / "out.csv"), client, {})


@pytest.mark.parametrize("change", ["grows", "is replaced", "is removed"])
def test_an_input_that_changes_ends_its_job(client: Client, tmp_path: Path, change: str) -> None:
    job = FileJob(_numbered(tmp_path, 4100), tmp_path / "out.jsonl")

    def change_once(_: Progress) -> None:
        if change == "grows":
            with job.input.open("a") as file:
                file.write('{"text": "half a li')
        elif change == "is replaced":
            other = tmp_path / "other.jsonl"
            other.write_text('{"text": "another"}\n')
            other.replace(job.input)
        else:
            job.input.unlink()

    with pytest.raises(JobError, match="was changed while it was read"):
        run(job, client, {}, change_once)
    assert not job.output.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"input": ["'])
def test_a_damaged_description_is_said_and_can_be_begun_anew(
    client: Client, tmp_path: Path, content: str
) -> None:
    job = FileJob(_numbered(tmp_path, 2100), tmp_path / "out.jsonl")
    with pytest.raises(InterruptedError):
        run(job, client, {}, _interrupt)
    (parts_folder(job.output) / "job.json").write_text(content)

    with pytest.raises(JobError, match=r"job\.json is missing or damaged"):
        run(job, client, {})

    run(FileJob(job.input, job.output, overwrite=True), client, {})
    assert len(job.output.read_text().splitlines()) == 2100


def _interrupt(_: Progress) -> None:
    raise InterruptedError
