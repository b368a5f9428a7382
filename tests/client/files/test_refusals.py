"""What no reader or writer has a place for is refused by name, before the first text is sent."""

from __future__ import annotations

import bz2
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertriton._files import FileFormatError, FileJob, run

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton import Client

CHINESE = "電影很好看我喜歡\n這部電影很差勁\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_of_other_scripts_is_refused_without_its_mark(
    sends_nothing: Client, tmp_path: Path, encoding: str
) -> None:
    """Of its bytes hardly one is zero."""
    (tmp_path / "in.txt").write_bytes(CHINESE.encode(encoding))

    with pytest.raises(FileFormatError, match="UTF-16 without a byte-order mark"):
        run(FileJob(tmp_path / "in.txt", tmp_path / "out.jsonl"), sends_nothing, {})


@pytest.mark.parametrize("name", ["in.txt", "in.csv"])
def test_what_is_no_text_is_not_read_as_one(sends_nothing: Client, tmp_path: Path, name: str) -> None:
    parquet.write_table(pa.table({"text": ["good"]}), tmp_path / "table")
    for content, problem in (
        ((tmp_path / "table").read_bytes(), "is not text"),
        (bz2.compress(b"text\ngood\n"), "is compressed"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=problem):
            run(FileJob(tmp_path / name, tmp_path / "out.jsonl"), sends_nothing, {})


def test_zero_bytes_in_utf8_are_text_also_where_the_beginning_cuts_a_character(
    client: Client, tmp_path: Path
) -> None:
    text = "\0" + "\u00e9" * 3000
    (tmp_path / "in.txt").write_text(text + "\n", encoding="utf-8")

    run(FileJob(tmp_path / "in.txt", tmp_path / "out.jsonl"), client, {})

    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (row["text"], row["predicted_error"]) == (text, None)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("Text,n", "found Text, n; is it 'Text'?"),
        (" text ,n", "found ' text ', n; is it ' text '?"),
        ("n,\ttext", "found n, '\\ttext'; is it '\\ttext'?"),
        (",n", "found '', n"),
        ("", "found none, its first line names no columns"),
        ("x" * 100, f"found '{'x' * 60}'..."),
        (
            ",".join("abcdefghijklmnopqrstuvwxyz"),
            "found a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, ...",
        ),
    ],
)
def test_a_column_that_is_missing_is_told_with_those_that_are_there(
    sends_nothing: Client, tmp_path: Path, header: str, told: str
) -> None:
    (tmp_path / "in.csv").write_text(header + "\n")

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(tmp_path / "in.csv", tmp_path / "out.csv"), sends_nothing, {})

    assert str(caught.value).endswith(f"no column 'text': {told}")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([{}, {}], "column 'm' holds objects without names in every row"),
        ([[{}]], "column 'm' holds objects without names"),
        ([{"a": {}}, {"a": None}], "column 'm' holds objects without names"),
        ([[1, "x"]], "row 1: column 'm' holds values of several types"),
        ([[True, 1]], "row 1: column 'm' holds values of several types"),
        ([{"a": [{"b": 1}, {"b": "x"}]}], "row 1: column 'm' holds values of several types"),
        ([[1, 2**63]], "row 1: column 'm' holds values of several types"),
        ([[2**53 + 1], [0.5]], "row 2: column 'm' holds values of several types"),
        ([[0.5], [2**53 + 1]], "row 2: column 'm' holds values of several types"),
    ],
)
def test_nested_values_without_one_type_are_refused_for_parquet(
    sends_nothing: Client, tmp_path: Path, values: list[Any], problem: str
) -> None:
    rows = [json.dumps({"text": "a", "m": value}) for value in values]
    (tmp_path / "in.jsonl").write_text("\n".join(rows))

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.parquet"), sends_nothing, {})

    assert problem in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    "values", [[{}, {"a": 1}], [[], [1]], [[1], [0.5]], [{"id": 2**60}, {"id": 1, "x": 0.5}]]
)
def test_nested_values_of_one_type_are_kept_in_parquet(
    client: Client, tmp_path: Path, values: list[Any]
) -> None:
    rows = [json.dumps({"text": "a", "m": value}) for value in values]
    (tmp_path / "in.jsonl").write_text("\n".join(rows))

    run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.parquet"), client, {})

    found = parquet.read_table(tmp_path / "out.parquet").column("m").to_pylist()
    assert [_without_none(value) for value in found] == values


def _without_none(value: Any) -> Any:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@pytest.mark.parametrize("output", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_json_lines_without_a_line_are_no_rows(client: Client, tmp_path: Path, output: str) -> None:
    """As a job without rows writes them."""
    (tmp_path / "in.jsonl").touch()

    progress = run(FileJob(tmp_path / "in.jsonl", tmp_path / output), client, {})

    assert (progress.done_rows, (tmp_path / output).exists()) == (0, True)
