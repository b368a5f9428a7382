"""CSV and TSV: tables of text with a header.

In CSV a field may be quoted, a quote inside it is written twice, and it may hold line breaks (RFC 4180). In
TSV nothing is quoted: a quote is a character like any other, and no field holds a tab or a line break (IANA's
text/tab-separated-values). A table of one column has a row for an empty line; in others such a line is none.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.arrow_values import BYTES_WITHOUT_MEANING
from bertriton._files.formats.faces import LineReader, append_all, require_distinct
from bertriton._files.formats.json_lines import as_json
from bertriton._files.formats.lines import without_end
from bertriton._files.formats.rows import Kind, as_dictionaries, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bertriton._files.formats.rows import Columns, Rows

    Record = tuple[int, list[str]]  # the line it begins at, and its fields

LABEL_SEPARATOR: Final = "|"  # between the labels of a multi-label answer
_MAX_FIELD_CHARACTERS: Final = 1 << 28  # csv's own limit is below a long review
_LINE_END: Final = "\r\n"
_BREAK_TO_SPACE: Final = str.maketrans("\t\r\n", "   ")

# What csv says of a row, and what that means for whoever wrote it.
_CSV_PROBLEMS: Final = {
    "unexpected end of data": "a quote is left open: the row that begins here never ends",
    "expected after": 'a field goes on behind its closing quote: a quote inside is written twice ("")',
    "new-line character": "a carriage return without a line feed: end lines with one, or quote the field",
    "field limit": "a field of more than 268 million characters: is a quote left open?",
}


class CsvReader(LineReader):
    """Comma-separated values with a header."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            _, header = next(self._records(), (1, []))
            require_distinct(path, header)
        except FileFormatError:
            self.close()
            raise
        self.columns = tuple(header)

    def _records(self) -> Iterator[Record]:
        csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        table = csv.reader(self._file.lines(), strict=True)
        while True:
            line = table.line_num + 1
            try:
                yield line, next(table)
            except StopIteration:
                return
            except csv.Error as exc:
                raise FileFormatError(f"{self._path}: line {line}: {_meaning(exc)}") from exc

    def _rows(self) -> Iterator[dict[str, Any]]:
        records = self._records()
        next(records, None)
        number = 0
        for line, values in records:
            fields = values or [""]
            if fields == [""] and len(self.columns) != 1:
                continue
            number += 1
            if len(fields) != len(self.columns):
                raise FileFormatError(
                    f"{self._path}: row {number}: expected {len(self.columns)} fields as in the header, "
                    f"found {len(fields)} (line {line})"
                )
            yield dict(zip(self.columns, fields, strict=True))


def _meaning(error: csv.Error) -> str:
    return next((meaning for words, meaning in _CSV_PROBLEMS.items() if words in str(error)), str(error))


class TsvReader(CsvReader):
    """Tab-separated values with a header; nothing is quoted."""

    def _records(self) -> Iterator[Record]:
        for line, text in enumerate(self._file.lines(), start=1):
            yield line, without_end(text, line, str(self._path)).split("\t")


class CsvWriter:
    """Comma-separated values; the header is written once, when the parts are joined."""

    checks_typed = True

    def __init__(self) -> None:
        self._columns: Sequence[str] = ()
        self._lists: set[str] = set()  # added columns of several words

    def check(self, rows: Rows, first_row: int) -> None:
        """Refuse a value that no UTF-8 can hold, or that has no JSON where it would stand in it."""
        for number, row in enumerate(as_dictionaries(rows, first_row), start=first_row):
            for name, value in row.items():
                if problem := self._problem_of_value(value):
                    raise FileFormatError(f"row {number}: column {name!r} holds {problem}")

    def begin(self, columns: Sequence[str], schema: object, added: Mapping[str, Kind]) -> None:  # noqa: ARG002
        """Say which columns the rows have, and what is added."""
        self._columns = (*columns, *added)
        self._lists = {name for name, kind in added.items() if kind is Kind.WORDS}
        for name in self._columns:
            if problem := self._problem(name):
                raise FileFormatError(f"the name of column {name!r} holds {problem}")

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""
        with path.open("w", encoding="utf-8", errors=BYTES_WITHOUT_MEANING, newline="") as file:
            self._write(file, map(self._fields, joined(rows, self._worded(added))))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, under a header."""
        header = io.StringIO(newline="")
        self._write(header, [self._columns])
        with path.open("wb") as file:
            file.write(header.getvalue().encode("utf-8", BYTES_WITHOUT_MEANING))
            append_all(parts, file)

    def _problem_of_value(self, value: object) -> str | None:
        try:
            return self._problem(value if type(value) is str else str(_as_field(value)))
        except ValueError:
            return (
                "NaN or an infinity in a list or an object, for which JSON has no number: use .parquet output"
            )

    def _problem(self, text: str) -> str | None:
        """What of a text this format cannot hold, and what can."""
        return _lone_surrogate(text)

    def _fields(self, row: dict[str, Any]) -> list[object]:
        return [_as_field(row.get(name)) for name in self._columns]

    def _worded(self, added: Columns) -> Columns:
        return added | {name: [_as_words(value) for value in added[name]] for name in self._lists}

    def _write(self, file: Any, records: Iterable[Sequence[object]]) -> None:  # noqa: ANN401
        csv.writer(file).writerows(records)


class TsvWriter(CsvWriter):
    """Tab-separated values; what holds a tab or a line break is refused."""

    def _problem(self, text: str) -> str | None:
        for character, name in (("\t", "a tab"), ("\n", "a line break"), ("\r", "a line break")):
            if character in text:
                return f"{name}, for which .tsv has no place: use .csv, .jsonl or .parquet output"
        return _lone_surrogate(text)

    def _worded(self, added: Columns) -> Columns:
        # Labels come from the model: they were not among the rows that were checked.
        worded = super()._worded(added)
        return {name: [_without_breaks(value) for value in values] for name, values in worded.items()}

    def _write(self, file: Any, records: Iterable[Sequence[object]]) -> None:  # noqa: ANN401
        for record in records:
            file.write("\t".join("" if value is None else str(value) for value in record) + _LINE_END)


def _lone_surrogate(text: str) -> str | None:
    if text.isascii():
        return None
    try:
        text.encode("utf-8", BYTES_WITHOUT_MEANING)
    except UnicodeEncodeError as exc:
        found = text[exc.start]
        return f"a lone surrogate ({found!r}), for which UTF-8 has no bytes: use .jsonl output"
    return None


def _as_field(value: object) -> object:
    if isinstance(value, (dict, list)):
        return as_json(value)
    return value


def _as_words(labels: Sequence[str] | None) -> str | None:
    return None if labels is None else LABEL_SEPARATOR.join(labels)


def _without_breaks(value: object) -> object:
    return value.translate(_BREAK_TO_SPACE) if isinstance(value, str) else value
