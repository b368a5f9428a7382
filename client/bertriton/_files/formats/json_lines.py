"""JSON lines: an object per line, whose names are the columns."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.arrow_values import as_text
from bertriton._files.formats.faces import LineReader, append_all
from bertriton._files.formats.rows import as_dictionaries, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bertriton._files.formats.rows import Columns, Kind, Rows


class JsonLinesReader(LineReader):
    """One JSON object per line; the columns are those of all of them, in the order in which they appear."""

    has_header = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._columns: tuple[str, ...] | None = None  # known when all lines have been read

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in all objects; the first time, all lines are read for them."""
        if self._columns is None:
            for _ in self._rows():
                pass
        return self._columns or ()

    def _rows(self) -> Iterator[dict[str, Any]]:
        names: dict[str, None] = {}
        for number, line in enumerate(self._file.lines(), start=1):
            if line.strip():
                row = self._object(line, number)
                if row.keys() - names.keys():
                    names |= dict.fromkeys(row)
                yield row
        self._columns = tuple(names)

    def _object(self, line: str, number: int) -> dict[str, Any]:
        try:
            found = json.loads(
                line,
                object_pairs_hook=_distinct,
                parse_float=_exact,
                parse_int=_whole,
                parse_constant=_refuse_constant,
            )
        except (ValueError, RecursionError) as exc:
            raise FileFormatError(f"{self._path}: line {number} is not JSON: {exc}") from exc
        if not isinstance(found, dict):
            raise FileFormatError(
                f"{self._path}: line {number}: expected an object, found {type(found).__name__}"
            )
        return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {repeated!r} stands twice in one object")
    return found


def _exact(digits: str) -> float:
    """A number, if its 64 bits say as much as its digits do: 17 of them are what others write of one."""
    found = float(digits)
    if math.isinf(found):
        raise ValueError(f"{digits} is not a number that a computer can hold")
    if repr(found) != digits and not _says_as_much(found, digits):
        raise ValueError(f"{digits} has more digits than a number keeps: put it in quotes, as a text")
    return found


def _says_as_much(found: float, digits: str) -> bool:
    try:
        expected = Decimal(digits)
    except ArithmeticError:  # an exponent that not even Decimal has
        return False
    return Decimal(f"{found:.{len(expected.as_tuple().digits) - 1}e}") == expected


def _whole(digits: str) -> int | float:
    """A whole number of any length; of the two zeros the negative one is a fraction's."""
    return float(digits) if digits == "-0" else int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's: use null, or put it in quotes, as a text")


def as_json(value: object) -> str:
    """A value as JSON; what it has no word for is text.

    Raises:
        ValueError: it is, or holds, a number that JSON has not: NaN or an infinity.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=as_text)


class JsonLinesWriter:
    """One JSON object per line, with the names that the row itself had."""

    checks_typed = True

    def check(self, rows: Rows, first_row: int) -> None:
        """Refuse a number that JSON has not; rows without types have none."""
        if isinstance(rows, list):
            return
        for number, row in enumerate(as_dictionaries(rows, first_row), start=first_row):
            for name, value in row.items():
                _require_json(name, value, number)

    def begin(self, columns: Sequence[str], schema: object, added: Mapping[str, Kind]) -> None:
        """Every line names its columns itself."""

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""
        with path.open("wb") as file:
            for row in joined(rows, added):
                # A byte without meaning in UTF-8 becomes an escape that JSON knows.
                file.write((as_json(row) + "\n").encode("utf-8", "backslashreplace"))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, in their order."""
        with path.open("wb") as file:
            append_all(parts, file)


def _require_json(name: str, value: object, row: int) -> None:
    try:
        as_json(value)
    except ValueError as exc:
        raise FileFormatError(
            f"row {row}: column {name!r} holds NaN or an infinity, for which JSON has no number: use "
            f"{'.parquet' if isinstance(value, (list, dict)) else '.csv or .parquet'} output"
        ) from exc
