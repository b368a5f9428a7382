"""A user's texts for int8: any format that `classify --input` reads, with labels or without."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertriton_export import OptionError
from bertriton_export.int8 import MIN_JUDGING_TEXTS, default_texts, split_texts
from bertriton_export.validation_file import read_validation_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["A film.", 'It says "no", twice.', "Grüße"]


def write_csv(file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([("label", "text"), *[("pos", text) for text in TEXTS]])


def write_jsonl(file: Path) -> None:
    lines = [json.dumps({"text": text, "label": 1}) for text in TEXTS]
    file.write_text("\n".join(lines), encoding="utf-8")


def write_parquet(file: Path) -> None:
    pq.write_table(pa.table({"label": [1] * len(TEXTS), "text": TEXTS}), file)


def write_txt(file: Path) -> None:
    file.write_text("\n\n".join(TEXTS) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".csv", write_csv), (".jsonl", write_jsonl), (".parquet", write_parquet), (".txt", write_txt)],
)
def test_texts_come_from_any_format(tmp_path: Path, suffix: str, write: Callable[[Path], None]) -> None:
    file = tmp_path / f"texts{suffix}"
    write(file)

    assert read_validation_texts(file) == TEXTS


def test_a_column_of_another_name_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"review": "A film.", "stars": 4}\n', encoding="utf-8")

    assert read_validation_texts(file, "review") == ["A film."]
    with pytest.raises(OptionError, match=r"has no column 'text': found review, stars.*--validation-column"):
        read_validation_texts(file)
    with pytest.raises(OptionError, match="row 1: expected a text, found 4"):
        read_validation_texts(file, "stars")


def test_a_file_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.doc").write_text("A film.", encoding="utf-8")

    with pytest.raises(OptionError, match=r"expected one of \.csv"):
        read_validation_texts(tmp_path / "texts.doc")


def test_texts_that_calibrate_do_not_judge_and_come_from_all_over_the_file() -> None:
    texts = [f"text {number}" for number in range(1000)]

    split = split_texts([*texts, *texts])

    assert set(split.calibrating).isdisjoint(split.judging)
    assert {*split.calibrating, *split.judging} == set(texts)
    assert "text 0" in split.calibrating
    assert any(text in split.calibrating for text in texts[-20:])


def test_too_few_texts_to_judge_by_are_refused() -> None:
    texts = [f"text {number}" for number in range(MIN_JUDGING_TEXTS * 5 // 4)]

    assert len(split_texts(texts).judging) == MIN_JUDGING_TEXTS
    with pytest.raises(OptionError, match="found 374 different ones, expected 375 at least"):
        split_texts(texts[:-1])


def test_texts_that_come_along_are_many_and_apart() -> None:
    texts = default_texts()
    words = sorted(len(text.split()) for text in texts.judging)

    assert len(set(texts.judging)) == len(texts.judging) >= 1000
    assert set(texts.calibrating).isdisjoint(texts.judging)
    assert words[0] < 5
    assert words[-1] > 300
