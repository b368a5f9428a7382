"""Every format keeps every row and every column, or is refused before the first text is sent."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import gzip
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertriton._files import FileFormatError, FileJob, parts_folder, run

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton import Client

OUTPUTS = [".csv", ".tsv", ".jsonl", ".parquet"]
TYPES = {"label": pa.string(), "score": pa.float64(), "token_count": pa.int64(), "truncated": pa.bool_()}


def _classified(client: Client, folder: Path, name: str, content: bytes, output: str) -> Path:
    (folder / name).write_bytes(content)
    run(FileJob(folder / name, folder / output), client, {})
    return folder / output


def _json(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "content",
    [
        'text\tlabel\nlovely film\tpos\n"Great" they said\tpos\n',
        'text\tlabel\n"open\tpos\nnext\tneg\n',
        'text\tlabel\r\na ""b"" c\tpos\r\n"all"\tneg\r\n',
    ],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_quotes_of_tsv_are_data(client: Client, tmp_path: Path, content: str, output: str) -> None:
    expected = [line.split("\t")[0] for line in content.splitlines()[1:]]

    first = _classified(client, tmp_path, "in.tsv", content.encode(), f"out{output}")
    again = tmp_path / "again.jsonl"
    run(FileJob(first, again, prefix="b_"), client, {})

    assert [row["text"] for row in _json(again)] == expected


REFUSED = [
    ("in.csv", 'text,b\n"a,1\nb,2\n', "line 2: a quote is left open"),
    ("in.csv", 'text,b\na,1\nb,"2\nc,3\n', "line 3: a quote is left open"),
    ("in.csv", 'text,b\n"Great" they said,1\n', "line 2: a field goes on behind its closing quote"),
    ("in.csv", 'text,b\n"x",1\n"Great, he said\nno,2\n"bad",3\n', "line 3: a field goes on behind"),
    ("in.csv", "text,b\ra,1\r", "line 1: a carriage return without a line feed"),
    ("in.csv", "text,b\na,1\nb\rc,2\n", "line 3: a carriage return without a line feed"),
    ("in.tsv", "text\tb\tc\ra\t1\t2\r", "line 1: a carriage return without a line feed"),
    ("in.txt", "lovely film\rawful film\rboring\r", "line 1: a carriage return without a line feed"),
    ("in.txt", "lovely film\r\nawful\rfilm\n", "line 2: a carriage return without a line feed"),
    ("in.csv", "a,text,a\n1,2,3\n", "several columns of one name: 'a'"),
    ("in.csv", "text,,\n1,2,3\n", "several columns of one name: ''"),
    ("in.tsv", "text\tb\ttext\n1\t2\t3\n", "several columns of one name: 'text'"),
    ("in.csv", "text,b\n1,2\n1,2,3\n", "row 2: expected 2 fields as in the header, found 3 (line 3)"),
    ("in.csv", 'text,b\n"1\n\n1",2\n\n1\n', "row 2: expected 2 fields as in the header, found 1 (line 6)"),
    ("in.tsv", "text\tb\na\t1\nb\n", "row 2: expected 2 fields as in the header, found 1 (line 3)"),
    (
        "in.jsonl",
        '{"text": "a"}\n{"text": "b", "text": "c"}\n',
        "line 2 is not JSON: the name 'text' stands twice",
    ),
    ("in.jsonl", '{"text": "a", "n": {"x": 1, "x": 2}}\n', "line 1 is not JSON: the name 'x' stands twice"),
    ("in.jsonl", '{"text": "a", "n": 1e400}\n', "line 1 is not JSON: 1e400"),
    ("in.jsonl", '{"text": ' + "[" * 100_000 + "\n", "line 1 is not JSON"),
    ("in.jsonl", '\n\n{"a": 1}\n{"b": 1}\n', "has no column 'text': found a, b"),
    ("in.jsonl", '{"text": "a"}\n' * 5000 + "{\n", "line 5001 is not JSON"),
]


@pytest.mark.parametrize(("name", "content", "problem"), REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place_before_a_text_is_sent(
    sends_nothing: Client, tmp_path: Path, name: str, content: str, problem: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        _classified(sends_nothing, tmp_path, name, content.encode(), "out.csv")

    assert problem in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("compress", [gzip.compress, lambda content: gzip.compress(content)[:40]])
def test_a_compressed_file_is_named_as_such(sends_nothing: Client, tmp_path: Path, compress: Any) -> None:
    with pytest.raises(FileFormatError, match=r"is compressed \(gzip\): unpack it first"):
        _classified(sends_nothing, tmp_path, "in.csv", compress(b"text\n" * 100), "out.csv")


WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.txt"])
def test_utf16_and_utf32_are_read_with_their_mark_and_refused_without(
    client: Client, tmp_path: Path, encoding: str, name: str
) -> None:
    texts = ["a good film", "日本語 🎬\u0a0a\u0a00", "x" * 100_000]
    lines = {
        "in.csv": ["text", *texts],
        "in.tsv": ["text", *texts],
        "in.jsonl": [json.dumps({"text": text}, ensure_ascii=False) for text in texts],
        "in.txt": texts,
    }[name]
    content = "\n".join(lines).encode(encoding)

    output = _classified(client, tmp_path, name, "\ufeff".encode(encoding) + content, "out.jsonl")

    assert [row["text"] for row in _json(output)] == texts
    with pytest.raises(FileFormatError, match=f"looks like UTF-{encoding[4:6]} without a byte-order mark"):
        _classified(client, tmp_path, name, content, "out2.jsonl")


def test_utf16_that_is_cut_off_is_refused(sends_nothing: Client, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is cut off or no utf-16-le"):
        _classified(sends_nothing, tmp_path, "in.csv", "text\nabc".encode("utf-16")[:-1], "out.csv")


@pytest.mark.parametrize("name", ["in.csv", "in.tsv"])
def test_an_empty_line_of_one_column_is_an_empty_text(client: Client, tmp_path: Path, name: str) -> None:
    output = _classified(client, tmp_path, name, b"text\na\n\nb\n", "out.jsonl")

    assert [row["text"] for row in _json(output)] == ["a", "", "b"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_columns_that_appear_late_are_kept(client: Client, tmp_path: Path, output: str) -> None:
    rows = [{"text": "a"}] * 2100 + [{"text": "b", "extra": 5}, {"late": "x", "text": "c"}]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()

    written = _classified(client, tmp_path, "in.jsonl", content, f"out{output}")

    if output == ".parquet":
        found = parquet.read_table(written).to_pylist()
    elif output == ".jsonl":
        found = _json(written)
    else:
        with written.open(newline="") as file:
            found = list(csv.DictReader(file, delimiter="," if output == ".csv" else "\t"))
    assert len(found) == 2102
    assert [row.get("extra") or None for row in found[-3:]] in ([None, 5, None], [None, "5", None])
    assert [row.get("late") or None for row in found[-3:]] == [None, None, "x"]


def test_the_column_of_texts_may_appear_late(client: Client, tmp_path: Path) -> None:
    output = _classified(client, tmp_path, "in.jsonl", b'{"a": 1}\n{"text": "good"}\n', "out.jsonl")

    assert [row["predicted_label"] for row in _json(output)] == [None, "pos"]


@pytest.mark.parametrize(
    "arrow_type", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.binary())]
)
@pytest.mark.parametrize("output", [".csv", ".jsonl", ".parquet"])
def test_texts_of_bytes_are_read(client: Client, tmp_path: Path, arrow_type: Any, output: str) -> None:
    texts = pa.array([b"good film", "schön".encode(), None]).cast(arrow_type)
    if not pa.types.is_dictionary(arrow_type):
        texts = pa.array([b"good film", "schön".encode(), b"\xff\xfe"], arrow_type)
    parquet.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")

    progress = run(FileJob(tmp_path / "in.parquet", tmp_path / f"out{output}"), client, {})

    assert (progress.done_rows, progress.failed_rows) == (3, 1)
    if output == ".jsonl":
        assert [row["text"] for row in _json(tmp_path / "out.jsonl")][:2] == ["good film", "schön"]
    elif output == ".parquet":
        table = parquet.read_table(tmp_path / "out.parquet")
        assert table.column("text").to_pylist() == texts.to_pylist()
        for name, expected in TYPES.items():
            assert table.schema.field(f"predicted_{name}").type == expected


def test_a_job_of_failures_alone_keeps_its_types_and_says_so(client: Client, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": pa.array([b"\xff"] * 3)}), tmp_path / "in.parquet")

    progress = run(FileJob(tmp_path / "in.parquet", tmp_path / "out.parquet"), client, {})

    assert progress.all_failed
    (line,) = progress.failures.lines()
    assert line.startswith("3 x a lone surrogate is not UTF-8")
    assert line.endswith("(rows 1, 2, 3)")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.schema.field("predicted_score").type == pa.float64()


MIXED = [
    (
        '{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n',
        "row 2: column 'n' is a text, and a whole number in row 1",
    ),
    ('{"text": "a", "n": true}\n{"text": "b", "n": 1}\n', "row 2: column 'n' is a whole number"),
    (
        '{"text": "a", "n": [1]}\n{"text": "b", "n": ["x"]}\n',
        "row 2: column 'n' holds values of several types",
    ),
    (
        '{"text": "a", "n": {"x": 1}}\n{"text": "b", "n": {"x": "y"}}\n',
        "row 2: column 'n' holds values of several types",
    ),
    (
        '{"text": "a", "n": 0.5}\n{"text": "b", "n": 9007199254740993}\n',
        "row 2: column 'n' holds fractions, and",
    ),
    (
        '{"text": "a", "n": 18446744073709551616}\n',
        "row 1: column 'n' holds whole numbers of more than 64 bits",
    ),
    (
        '{"text": "a", "n": -1}\n{"text": "b", "n": 9223372036854775808}\n',
        "row 2: column 'n' holds whole numbers",
    ),
    ('{"text": "a", "n": "\\ud800"}\n', "row 1: column 'n' is not UTF-8"),
    ('{"text": "a", "n": ["\\ud800"]}\n', "row 1: column 'n' is not UTF-8"),
    ('{"text": "a", "n": 1}\n' * 2500 + '{"text": "b", "n": "x"}\n', "row 2501: column 'n' is a text"),
]


@pytest.mark.parametrize(("content", "problem"), MIXED)
def test_mixed_types_are_refused_for_parquet_and_kept_in_jsonl(
    client: Client, tmp_path: Path, content: str, problem: str
) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.jsonl"), client, {})

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.parquet"), client, {})

    assert problem in str(caught.value)
    assert not parts_folder(tmp_path / "out.parquet").exists()
    read = [json.loads(line) for line in content.splitlines()]
    assert [row["n"] for row in _json(tmp_path / "out.jsonl")] == [row["n"] for row in read]


def test_types_of_jsonl_are_right_in_parquet(client: Client, tmp_path: Path) -> None:
    rows = [
        {
            "text": "a",
            "whole": 2**60 + 1,
            "part": 1,
            "flag": True,
            "list": [1],
            "deep": {"x": None},
            "none": None,
        },
        {"text": "b", "whole": None, "part": 0.5, "flag": None, "list": [None, 2.5], "deep": {"y": "z"}},
        {"text": "c", "unsigned": 2**63, "list": []},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()

    table = parquet.read_table(_classified(client, tmp_path, "in.jsonl", content, "out.parquet"))

    found = table.to_pylist()
    for name in ("whole", "part", "flag", "list", "none", "unsigned"):
        assert [row[name] for row in found] == [row.get(name) for row in rows]
    assert [row["deep"] for row in found] == [{"x": None, "y": None}, {"x": None, "y": "z"}, None]
    assert table.schema.field("none").type == pa.string()
    assert table.schema.field("unsigned").type == pa.uint64()


EXACT = {
    "big": pa.array([2**53 + 1, -(2**63)], pa.int64()),
    "money": pa.array(
        [decimal.Decimal("1.10"), decimal.Decimal("99999999999999999.99")], pa.decimal128(20, 2)
    ),
    "at": pa.array([1, 1_600_000_000_000_000_001], pa.timestamp("ns", tz="UTC")),
    "day": pa.array([dt.date(2020, 2, 29), None]),
    "list": pa.array([[1, None], []], pa.list_(pa.int64())),
    "deep": pa.array([{"when": 1}, None], pa.struct([("when", pa.timestamp("us"))])),
    "bytes": pa.array([b"\x00\xff", b"ok"]),
    "kind": pa.array(["x", "y"]).dictionary_encode(),
    "large": pa.array(["x", None], pa.large_string()),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
}


@pytest.mark.parametrize("count", [0, 2])
def test_parquet_keeps_types_and_values_with_rows_and_without(
    client: Client, tmp_path: Path, count: int
) -> None:
    source = pa.table({"text": pa.array(["good", "bad"]), **EXACT}).slice(0, count)
    source = source.replace_schema_metadata({"owner": "somebody"})
    parquet.write_table(source, tmp_path / "in.parquet")

    run(FileJob(tmp_path / "in.parquet", tmp_path / "out.parquet"), client, {})

    found = parquet.read_table(tmp_path / "out.parquet")
    kept = found.select(source.column_names)
    assert kept.equals(parquet.read_table(tmp_path / "in.parquet"))
    assert found.schema.metadata[b"owner"] == b"somebody"
    for name, expected in TYPES.items():
        assert found.schema.field(f"predicted_{name}").type == expected


def test_exact_values_of_parquet_are_exact_in_jsonl_and_csv(client: Client, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": pa.array(["good", "bad"]), **EXACT}), tmp_path / "in.parquet")

    for output in ("out.jsonl", "out.csv"):
        run(FileJob(tmp_path / "in.parquet", tmp_path / output), client, {})

    (first, second) = _json(tmp_path / "out.jsonl")
    assert (first["big"], second["big"]) == (2**53 + 1, -(2**63))
    assert (first["money"], second["money"]) == ("1.10", "99999999999999999.99")
    assert second["at"].startswith("2020-09-13 12:26:40.000000001")
    assert (first["day"], second["day"]) == ("2020-02-29", None)
    assert first["deep"] == {"when": "1970-01-01 00:00:00.000001"}
    assert (first["bytes"], second["bytes"]) == ("\x00\udcff", "ok")
    with (tmp_path / "out.csv").open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["list"], rows[0]["bytes"]) == ("[1, null]", "\x00\udcff")
    assert json.loads(rows[0]["deep"]) == first["deep"]


def test_a_parquet_file_with_a_repeated_column_is_refused(sends_nothing: Client, tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["text", "x", "x"])
    parquet.write_table(table, tmp_path / "in.parquet")

    with pytest.raises(FileFormatError, match="several columns of one name: 'x'"):
        run(FileJob(tmp_path / "in.parquet", tmp_path / "out.csv"), sends_nothing, {})


def test_a_parquet_file_that_is_cut_off_is_refused(sends_nothing: Client, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"] * 100}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()

    for size in (0, 3, 40, len(content) - 1):
        with pytest.raises(FileFormatError, match="is not a Parquet file"):
            _classified(sends_nothing, tmp_path, "in.parquet", content[:size], "out.csv")


@pytest.mark.parametrize(
    ("name", "content", "output", "problem"),
    [
        ("in.csv", 'text\n"a\nb"\n', "out.tsv", "row 1: column 'text' holds a line break"),
        ("in.csv", 'text,n\na,"x\ty"\n', "out.tsv", "row 1: column 'n' holds a tab"),
        (
            "in.jsonl",
            '{"text": "a"}\n{"text": "b\\r"}\n',
            "out.tsv",
            "row 2: column 'text' holds a line break",
        ),
        ("in.jsonl", '{"text": "a", "x\\ty": 1}\n', "out.tsv", "the name of column 'x\\ty' holds a tab"),
        ("in.jsonl", '{"text": "a"}\n{"text": "\\ud800"}\n', "out.csv", "row 2: column 'text' holds a lone"),
        ("in.jsonl", '{"text": "a", "n": ["\\ud800"]}\n', "out.csv", "row 1: column 'n' holds a lone"),
    ],
)
def test_what_an_output_has_no_place_for_is_refused_before_a_text_is_sent(  # noqa: PLR0917
    sends_nothing: Client, tmp_path: Path, name: str, content: str, output: str, problem: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        _classified(sends_nothing, tmp_path, name, content.encode(), output)

    assert problem in str(caught.value)


def test_texts_of_parquet_are_checked_for_tsv(sends_nothing: Client, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a", "b\tc"]}), tmp_path / "in.parquet")

    with pytest.raises(FileFormatError, match="row 2: column 'text' holds a tab"):
        run(FileJob(tmp_path / "in.parquet", tmp_path / "out.tsv"), sends_nothing, {})


def test_long_fields_and_nul_are_kept(client: Client, tmp_path: Path) -> None:
    long = "long " * 100_000
    content = f"text,other\na\x00b,{long}\n".encode()

    (row,) = _json(_classified(client, tmp_path, "in.csv", content, "out.jsonl"))

    assert (row["text"], row["other"]) == ("a\x00b", long)
