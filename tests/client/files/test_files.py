"""Files are classified row by row: nothing lost, nothing twice, columns kept, and resumable at any row."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertriton import Client, ClientClosedError
from bertriton._files import FileFormatError, FileJob, Progress, run
from bertriton._files.errors import JobError

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_server import LocalServer

# Raise it for a longer trial.
ROWS_THROUGH_INTERRUPTIONS = 10_000

ROWS = [
    {"id": "1", "text": "A warm, wonderful film.", "note": "a,b"},
    {"id": "2", "text": "Dull and lifeless,\nthroughout.", "note": 'say "no"'},
    {"id": "3", "text": "日本語 🎬", "note": ""},
]
ADDED = [f"predicted_{name}" for name in ("label", "score", "token_count", "truncated", "windows", "error")]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".tsv":
            lines = [list(rows[0]), *(row.values() for row in rows)]
            path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".csv":
            with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                return list(csv.DictReader(file))
        case ".tsv":
            lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
            return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
        case ".jsonl":
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        case _:
            found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            return found


@pytest.mark.parametrize("output_suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("input_suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_becomes_every_other_and_keeps_its_columns(
    client: Client, tmp_path: Path, input_suffix: str, output_suffix: str
) -> None:
    tabs = ".tsv" in {input_suffix, output_suffix}  # which have no place for line breaks
    rows = [row | {"text": row["text"].replace("\n", " ")} for row in ROWS] if tabs else ROWS
    source, output = _write(tmp_path / f"in{input_suffix}", rows), tmp_path / f"out{output_suffix}"

    progress = run(FileJob(source, output), client, {})

    found = _read(output)
    assert [{name: row[name] for name in ROWS[0]} for row in found] == rows
    assert list(found[0]) == [*ROWS[0], *ADDED]
    assert ["pos", "neg"] == [row["predicted_label"] for row in found[:2]]
    assert (progress.done_rows, progress.failed_rows) == (3, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, output.name])


def test_the_lines_of_a_text_file_are_its_texts(client: Client, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes("\ufeffgood film\r\n\nawful film".encode())

    run(FileJob(tmp_path / "in.txt", tmp_path / "out.jsonl"), client, {})

    assert ["good film", "", "awful film"] == [row["text"] for row in _read(tmp_path / "out.jsonl")]


def test_a_parquet_file_keeps_its_types(client: Client, tmp_path: Path) -> None:
    columns = {
        "text": pa.array(["good", "bad"]),
        "small": pa.array([1, None], pa.int8()),
        "at": pa.array([1, 2], pa.timestamp("ns")),
        "nested": pa.array([[1], []], pa.list_(pa.int16())),
    }
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")

    run(FileJob(tmp_path / "in.parquet", tmp_path / "out.parquet"), client, {})

    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.select(list(columns)) == pa.table(columns)
    assert found.schema.field("predicted_score").type == pa.float64()
    assert found.schema.field("predicted_error").type == pa.string()


def test_a_text_that_cannot_be_classified_keeps_its_row_and_gets_the_reason(
    client: Client, tmp_path: Path
) -> None:
    rows = [{"text": "good"}, {"text": None}, {"text": 5}, {"text": "a\ud800"}, {"text": "bad"}]
    source = _write(tmp_path / "in.jsonl", rows)

    progress = run(FileJob(source, tmp_path / "out.jsonl"), client, {})

    found = _read(tmp_path / "out.jsonl")
    assert [row["text"] for row in found] == [row["text"] for row in rows]
    assert [row["predicted_label"] is None for row in found] == [False, True, True, True, False]
    assert "found nothing" in found[1]["predicted_error"]
    assert progress.failed_rows == 3


def test_bytes_that_are_no_utf8_come_out_as_they_went_in(client: Client, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,text\n\xe9,good\n2,caf\xe9\n")

    run(FileJob(tmp_path / "in.csv", tmp_path / "out.csv"), client, {})

    lines = (tmp_path / "out.csv").read_bytes().split(b"\r\n")
    assert lines[1].startswith(b"\xe9,good,pos,")
    assert lines[2].startswith(b"2,caf\xe9,,,,,")


def test_pairs_scores_and_prefix_can_be_asked_for(client: Client, tmp_path: Path) -> None:
    source = _write(tmp_path / "in.csv", [{"a": "good", "b": "film"}])
    job = FileJob(source, tmp_path / "out.jsonl", "a", "b", prefix="x_", all_scores=True)

    run(job, client, {})

    (row,) = _read(tmp_path / "out.jsonl")
    assert row["x_token_count"] == 5
    assert row["x_score_neg"] + row["x_score_pos"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("in.csv", "a,b\n1,2\n", "has no column 'text': found a, b"),
        ("in.csv", "text,predicted_label\n1,2\n", "'predicted_label' already: choose another --prefix"),
        ("in.csv", "text,b\n1,2\n1,2,3\n", "row 2: expected 2 fields as in the header, found 3"),
        ("in.jsonl", '{"text": "a"}\n{"text"\n', "line 2 is not JSON"),
        ("in.jsonl", '["a"]\n', "line 1: expected an object, found list"),
        ("in.parquet", "text\n", "is not a Parquet file"),
        ("in.docx", "", "expected one of .csv, .jsonl, .parquet, .tsv, .txt, found '.docx'"),
        ("in.csv", "", "has no column 'text': found none"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(
    client: Client, tmp_path: Path, name: str, content: str, problem: str
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(tmp_path / name, tmp_path / "out.csv"), client, {})

    assert problem in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file_is_said(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        run(FileJob(tmp_path / "in.csv", tmp_path / "out.csv"), client, {})


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_without_rows_becomes_one_without_rows(client: Client, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.csv").write_text("text\n")

    run(FileJob(tmp_path / "in.csv", tmp_path / f"out{suffix}"), client, {})

    assert _read(tmp_path / f"out{suffix}") == []


def test_an_existing_output_is_not_overwritten_unasked(client: Client, tmp_path: Path) -> None:
    source, output = _write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv"
    output.write_text("precious")

    with pytest.raises(JobError, match="exists already"):
        run(FileJob(source, output), client, {})
    assert output.read_text() == "precious"

    run(FileJob(source, output, overwrite=True), client, {})
    assert len(_read(output)) == 3


class _InterruptedError(Exception):
    """Stands for whatever ends a run."""


def _interrupt(_: Progress) -> None:
    raise _InterruptedError


def _numbered(tmp_path: Path, count: int) -> Path:
    rows = [{"id": str(number), "text": f"film {number}"} for number in range(count)]
    return _write(tmp_path / "in.csv", rows)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_interrupted_run_goes_on_where_it_stopped(client: Client, tmp_path: Path, suffix: str) -> None:
    job = FileJob(_numbered(tmp_path, 4100), tmp_path / f"out{suffix}")

    with pytest.raises(_InterruptedError):
        run(job, client, {}, _interrupt)
    assert not job.output.exists()
    progress = run(job, client, {})

    assert 0 < progress.earlier_rows < progress.done_rows == 4100
    assert [row["id"] for row in _read(job.output)] == [str(number) for number in range(4100)]


@pytest.mark.parametrize("change", ["input", "option", "column"])
def test_parts_of_another_run_are_not_taken_up(client: Client, tmp_path: Path, change: str) -> None:
    job = FileJob(_numbered(tmp_path, 2100), tmp_path / "out.csv")
    with pytest.raises(_InterruptedError):
        run(job, client, {}, _interrupt)

    if change == "input":
        _numbered(tmp_path, 2101)
    options: Any = {"max_length": 8} if change == "option" else {}
    changed = FileJob(job.input, job.output, prefix="other_") if change == "column" else job

    with pytest.raises(JobError, match="another input or option"):
        run(changed, client, options)


def test_a_missing_part_is_noticed(client: Client, tmp_path: Path) -> None:
    job = FileJob(_numbered(tmp_path, 4100), tmp_path / "out.csv")
    with pytest.raises(_InterruptedError):
        run(job, client, {}, _interrupt)
    (part,) = (tmp_path / "out.csv.partial").glob("*.part")
    part.rename(part.with_name("000000000007-2000.part"))

    with pytest.raises(JobError, match="expected a part from row 0 on"):
        run(job, client, {})


def test_what_is_finished_when_the_connection_ends_is_kept(
    client: Client, imdb_server: LocalServer, tmp_path: Path
) -> None:
    job = FileJob(_numbered(tmp_path, 4100), tmp_path / "out.csv")

    with Client(imdb_server.grpc_url) as closed_midway, pytest.raises(ClientClosedError):
        run(job, closed_midway, {}, lambda _: closed_midway.close())

    assert run(job, client, {}).earlier_rows >= 2000


def _command(source: Path, output: Path, url: str) -> list[str]:
    words = ["classify", "--input", str(source), "--output", str(output), "--url", url]
    return [sys.executable, "-m", "bertriton", *words]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_is_finished_by_the_next(
    imdb_server: LocalServer, tmp_path: Path, sent: signal.Signals
) -> None:
    source, output = _numbered(tmp_path, ROWS_THROUGH_INTERRUPTIONS), tmp_path / "out.jsonl"
    command = _command(source, output, imdb_server.grpc_url)

    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("out.jsonl.partial/*.part"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, sent)
        process.wait()
    assert process.returncode in {128 + sent, -signal.SIGKILL}
    assert not output.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stderr == f"{ROWS_THROUGH_INTERRUPTIONS:,} rows classified into {output}\n"
    assert [row["id"] for row in _read(output)] == [str(n) for n in range(ROWS_THROUGH_INTERRUPTIONS)]
