"""JSON lines: an object per line, whose names are the columns."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.faces import LineReader, append_all
from bertriton._files.formats.rows import as_text, joined

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
            found = json.loads(line, object_pairs_hook=_distinct, parse_float=_finite)
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


def _finite(digits: str) -> float:
    found = float(digits)
    if math.isinf(found):
        raise ValueError(f"{digits} is not a number that a computer can hold")
    return found


class JsonLinesWriter:
    """One JSON object per line, with the names that the row itself had."""

    checks_typed = False

    def check(self, rows: Rows, first_row: int) -> None:
        """Everything has a place in JSON."""

    def begin(self, columns: Sequence[str], schema: object, added: Mapping[str, Kind]) -> None:
        """Every line names its columns itself."""

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""
        with path.open("wb") as file:
            for row in joined(rows, added):
                # A byte without meaning in UTF-8 becomes an escape that JSON knows.
                line = json.dumps(row, ensure_ascii=False, default=as_text) + "\n"
                file.write(line.encode("utf-8", "backslashreplace"))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, in their order."""
        with path.open("wb") as file:
            append_all(parts, file)
