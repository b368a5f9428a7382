"""A column of labels is matched with the model's, or refused with its row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bertriton._files import FileFormatError
from bertriton_evaluate import LabelError, LabelledTexts

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("neg", "pos")


def _jsonl(tmp_path: Path, labels: list[Any]) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps({"text": "a", "label": label}) + "\n" for label in labels))
    return file


@pytest.mark.parametrize(
    "labels", [["pos", "neg", " pos "], [1, 0, 1], ["1", "0", "1"], [1.0, 0.0, 1.0]], ids=str
)
def test_labels_are_names_or_places(tmp_path: Path, labels: list[Any]) -> None:
    assert LabelledTexts(_jsonl(tmp_path, labels)).labels(NAMES).tolist() == [1, 0, 1]


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    assert LabelledTexts(_jsonl(tmp_path, [1, 2, 3])).labels(("1", "2", "3")).tolist() == [0, 1, 2]


def test_a_map_translates_the_words_of_the_file(tmp_path: Path) -> None:
    label_map = {"good": "pos", "true": "pos", "-1": "neg"}
    texts = LabelledTexts(_jsonl(tmp_path, ["good", -1, True, "neg"]), label_map=label_map)

    assert texts.labels(NAMES).tolist() == [1, 0, 1, 0]


def test_a_parquet_file_gives_its_labels(tmp_path: Path) -> None:
    parquet.write_table(
        pa.table({"text": ["a", "b"], "label": pa.array([1, 0], pa.int8())}), tmp_path / "in.parquet"
    )

    assert LabelledTexts(tmp_path / "in.parquet").labels(NAMES).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (
            ["pos", "neutral"],
            r"in.jsonl: row 2: label is 'neutral', expected .* neg, pos, or .* places 0 to 1",
        ),
        (["pos", 1], "row 2: label is '1'"),
        ([0, 2], "row 2: label is '2'"),
        (["pos", None], "row 2: label is ''"),
    ],
)
def test_a_label_that_is_none_of_the_models_is_named_with_its_row(
    tmp_path: Path, labels: list[Any], problem: str
) -> None:
    with pytest.raises(LabelError, match=problem):
        LabelledTexts(_jsonl(tmp_path, labels)).labels(NAMES)


def test_a_map_to_no_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="'positive' is not a label of the model: neg, pos"):
        LabelledTexts(_jsonl(tmp_path, ["good"]), label_map={"good": "positive"}).labels(NAMES)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("in.csv", b"text,sentiment\na,pos\n", "has no column 'label': found text, sentiment"),
        ("in.csv", b"text,label\n", "holds no rows"),
        ("in.csv", b"", "has no column 'label': found none"),
        ("in.txt", b"a\n", "has no column 'label': found text"),
        ("in.parquet", b"PAR1", "is not a Parquet file"),
        ("in.docx", b"", "expected one of .csv"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(FileFormatError, match=problem):
        LabelledTexts(tmp_path / name).labels(NAMES)


def test_a_damaged_parquet_file_is_said(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    labels = [f"{n % 7919:x}" for n in range(10_000)]
    parquet.write_table(pa.table({"text": labels, "label": labels}), file, use_dictionary=False)
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    file.write_bytes(content)

    with pytest.raises(FileFormatError, match="cannot be read to its end"):
        LabelledTexts(file).labels(NAMES)
