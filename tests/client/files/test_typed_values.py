"""Typed values of any depth become text or JSON as they are, or are refused at once."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertriton._files import FileFormatError, FileJob, run
from bertriton._files.formats import Kind, writer_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton import Client


NO_UTF8 = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"ok"]).buffers())
DAYS = pa.array([2_932_897, 0], pa.int32()).cast(pa.date32())  # the first after the year 9999
SHORT_TIMES = pa.array([1, None], pa.timestamp("ns"))


def _lists(values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, 2, 2]), values)


def _structs(values: Any) -> Any:
    return pa.StructArray.from_arrays([values], ["x"], mask=pa.array([False, True]))


VALUES = {
    "dates in lists": (_lists(DAYS), [["10000-01-01", "1970-01-01"], []]),
    "dates in structs": (_structs(DAYS), [{"x": "10000-01-01"}, None]),
    "lists of fixed size": (
        pa.FixedSizeListArray.from_arrays(pa.concat_arrays([DAYS, DAYS]), 2),
        [["10000-01-01", "1970-01-01"]] * 2,
    ),
    "short times in lists": (_lists(SHORT_TIMES), [["1970-01-01 00:00:00.000000001", None], []]),
    "short times in maps": (
        pa.MapArray.from_arrays(pa.array([0, 2, 2]), pa.array(["a", "b"]), SHORT_TIMES),
        [[["a", "1970-01-01 00:00:00.000000001"], ["b", None]], []],
    ),
    "no UTF-8 in structs": (_structs(NO_UTF8), [{"x": "\udcff"}, None]),
    "no UTF-8 in lists": (_lists(NO_UTF8), [["\udcff", "ok"], []]),
    "lists in structs": (_structs(_lists(DAYS)), [{"x": ["10000-01-01", "1970-01-01"]}, None]),
}


@pytest.mark.parametrize(("values", "expected"), VALUES.values(), ids=VALUES)
def test_typed_values_of_any_depth_are_written_as_they_are(
    copied: Callable[[Path, Path], Path], tmp_path: Path, values: Any, expected: list[Any]
) -> None:
    source = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"text": ["a", "b"], "n": values}), source)

    lines = copied(source, tmp_path / "out.jsonl").read_text().splitlines()
    with copied(source, tmp_path / "out.csv").open(errors="surrogateescape", newline="") as file:
        fields = [row["n"] for row in csv.DictReader(file)]

    assert [json.loads(line)["n"] for line in lines] == expected
    assert [json.loads(field) if field else None for field in fields] == expected


UNREADABLE = {
    "a time zone that nobody knows": (
        pa.array([None] * 2500 + [1], pa.timestamp("us", tz="Nowhere/Else")),
        "row 2501: column 'n' cannot be read: ",
    ),
    "two fields of one name": (
        pa.StructArray.from_arrays([pa.array(range(2501))] * 2, ["a", "a"]),
        "row 1: column 'n' cannot be read: it has several fields of one name, 'a': use .parquet output",
    ),
}


@pytest.mark.parametrize("output", ["out.csv", "out.tsv", "out.jsonl"])
@pytest.mark.parametrize(("values", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_typed_values_that_cannot_be_read_are_refused_with_file_and_row(
    sends_nothing: Client, tmp_path: Path, values: Any, problem: str, output: str
) -> None:
    source = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"text": ["a"] * 2501, "n": values}), source)

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(source, tmp_path / output), sends_nothing, {})

    assert f"{source} does not fit into {output}: {problem}" in str(caught.value)


def test_a_name_with_a_colon_is_a_file(
    copied: Callable[[Path, Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path.relative_to(tmp_path) / "in-12:30.parquet"
    with source.open("wb") as file:
        parquet.write_table(pa.table({"text": ["a"]}), file)

    copied(source, source.with_name("run-12:30.parquet"))

    assert parquet.read_table(tmp_path / "run-12:30.parquet").to_pylist() == [{"text": "a", "error": None}]


def test_labels_keep_their_spaces_in_tsv(tmp_path: Path) -> None:
    writer, part = writer_for(tmp_path / "out.tsv"), tmp_path / "out.part"
    writer.begin(["text"], None, {"label": Kind.WORD})

    writer.write_part(part, [{"text": "a"}], {"label": ["very  good,\u00a0\tor\r\nnot "]})

    assert part.read_bytes().decode() == "a\tvery  good,\u00a0 or  not \r\n"
