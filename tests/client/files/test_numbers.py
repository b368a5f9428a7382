"""Numbers: what JSON says comes out with the same value, or is refused by its row; NaN is none of JSON's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from bertriton._files import FileFormatError, FileJob, opened, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton import Client


WRITTEN = {"0.1": "0.1", "1e5": "100000.0", "-0": "-0.0", "0.10000000000000001": "0.1", "1.50": "1.5"}


@pytest.mark.parametrize("digits", WRITTEN)
def test_a_number_keeps_its_value_in_every_format(
    copied: Callable[[Path, Path], Path], tmp_path: Path, digits: str
) -> None:
    (tmp_path / "in.jsonl").write_text(f'{{"text": "a", "n": {digits}}}\n')

    lines = copied(tmp_path / "in.jsonl", tmp_path / "out.jsonl").read_text()
    table = copied(tmp_path / "in.jsonl", tmp_path / "out.csv").read_text()
    (number,) = parquet.read_table(copied(tmp_path / "in.jsonl", tmp_path / "out.parquet"))["n"].to_pylist()

    assert lines == f'{{"text": "a", "n": {WRITTEN[digits]}, "error": null}}\n'
    assert table.splitlines()[1] == f"a,{WRITTEN[digits]},"
    assert (number, math.copysign(1, number)) == (float(digits), math.copysign(1, float(digits)))


@given(number=st.floats(allow_nan=False, allow_infinity=False), places=st.integers(0, 25))
@example(number=5e-324, places=0)
def test_every_number_that_was_64_bits_is_read_however_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, number: float, places: int
) -> None:
    source = tmp_path_factory.mktemp("numbers") / "in.jsonl"
    for digits in (repr(number), f"{number:.17g}", f"{number:.{16 + places}e}", f"{number:.4e}"):
        source.write_text(f'{{"n": {digits}}}\n')
        if math.isinf(float(digits)):
            continue
        reader = opened(source)
        (rows,) = reader.chunks(1, 0)
        reader.close()
        assert rows == [{"n": float(digits)}]


@pytest.mark.parametrize(
    ("digits", "problem"),
    [
        ("12345678901234567.89", "has more digits than a number keeps: put it in quotes"),
        ("0.1234567890123456789012", "has more digits than a number keeps"),
        ("[9007199254740993.0]", "has more digits than a number keeps"),
        ("1e-400", "has more digits than a number keeps"),
        ("1e-99999999999999999999", "has more digits than a number keeps"),
        ("1e400", "is not a number that a computer can hold"),
        ("NaN", "NaN is no number of JSON's: use null"),
        ('{"x": [-Infinity]}', "-Infinity is no number of JSON's"),
    ],
)
def test_a_number_that_would_not_come_out_as_it_was_is_refused(
    sends_nothing: Client, tmp_path: Path, digits: str, problem: str
) -> None:
    (tmp_path / "in.jsonl").write_text(f'{{"text": "a", "n": 1}}\n{{"text": "b", "n": {digits}}}\n')

    with pytest.raises(FileFormatError) as caught:
        run(FileJob(tmp_path / "in.jsonl", tmp_path / "out.jsonl"), sends_nothing, {})

    assert f"{tmp_path / 'in.jsonl'}: line 2 is not JSON: " in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("value", "output", "advice"),
    [
        (math.nan, "out.jsonl", "use .csv or .parquet output"),
        (-math.inf, "out.jsonl", "use .csv or .parquet output"),
        ([1.0, math.nan], "out.jsonl", "use .parquet output"),
        ({"x": math.inf}, "out.jsonl", "use .parquet output"),
        ([math.nan], "out.csv", "use .parquet output"),
        ([math.nan], "out.tsv", "use .parquet output"),
    ],
)
def test_what_is_no_number_in_json_is_refused_for_it(
    sends_nothing: Client, tmp_path: Path, value: object, output: str, advice: str
) -> None:
    values = pa.array([None] * 2500 + [value])
    parquet.write_table(pa.table({"text": ["a"] * 2501, "n": values}), tmp_path / "in.parquet")

    with pytest.raises(FileFormatError, match="row 2501: column 'n' holds NaN or an infinity") as caught:
        run(FileJob(tmp_path / "in.parquet", tmp_path / output), sends_nothing, {})

    assert str(caught.value).startswith(f"{tmp_path / 'in.parquet'} does not fit into {output}: ")
    assert str(caught.value).endswith(advice)
