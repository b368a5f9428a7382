"""Files of texts, read chunk by chunk: CSV, TSV, JSON lines, Parquet, and plain text with a text per line."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from bertriton._files.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# Rows of a file: dictionaries, or for Parquet a pyarrow.RecordBatch, which keeps its types.
Rows = Any

LINE_COLUMN: Final = "text"  # what the lines of a plain text file are called
_MAX_FIELD_CHARACTERS: Final = 2**31 - 1  # csv's own limit is below a long review
_BYTES_WITHOUT_MEANING: Final = (
    "surrogateescape"  # kept, refused by the client, and written back as they were
)


class Reader(Protocol):
    """One format of input."""

    columns: tuple[str, ...]
    size: int  # of the input, in the unit of `position`

    def __init__(self, path: Path) -> None: ...

    @property
    def position(self) -> int:
        """How much of `size` is read."""

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        """The rows after the skipped ones, in order."""

    def close(self) -> None:
        """Close the file."""


class _LineReader:
    """What the formats of lines share: the file, its size in bytes, rows as dictionaries."""

    columns: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes: IO[bytes] = path.open("rb")
        self.size = path.stat().st_size

    @property
    def position(self) -> int:
        return 0 if self._bytes.closed else self._bytes.tell()

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        rows = islice(self._rows(), skipped_rows, None)
        while chunk := list(islice(rows, rows_per_chunk)):
            yield chunk

    def close(self) -> None:
        self._bytes.close()

    def _rows(self) -> Iterator[dict[str, Any]]:
        raise TypeError(f"{type(self).__name__} is abstract")

    def _lines(self) -> Iterator[str]:
        # Not a TextIOWrapper: that forbids to ask the position while it is read.
        for number, line in enumerate(self._bytes):
            yield line.decode("utf-8-sig" if number == 0 else "utf-8", _BYTES_WITHOUT_MEANING)


class CsvReader(_LineReader):
    """Comma-separated values with a header."""

    delimiter = ","

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        self._table = self._parsed()
        self.columns = tuple(next(self._table, ()))

    def _parsed(self) -> Iterator[list[str]]:
        try:
            yield from csv.reader(self._lines(), delimiter=self.delimiter)
        except csv.Error as exc:
            raise FileFormatError(f"{self._path} is no table: {exc}") from exc

    def _rows(self) -> Iterator[dict[str, Any]]:
        for number, values in enumerate(self._table, start=1):
            if not values:  # a blank line is no row in this format
                continue
            if len(values) != len(self.columns):
                raise FileFormatError(
                    f"{self._path}: row {number}: expected {len(self.columns)} fields as in the header, "
                    f"found {len(values)}"
                )
            yield dict(zip(self.columns, values, strict=True))


class TsvReader(CsvReader):
    """Tab-separated values with a header."""

    delimiter = "\t"


class JsonLinesReader(_LineReader):
    """One JSON object per line; the columns are those of the first."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            first = file.readline().decode("utf-8-sig", _BYTES_WITHOUT_MEANING)
        self.columns = tuple(_json_object(path, first, 1)) if first else ()
        super().__init__(path)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self._lines(), start=1):
            if line.strip():
                yield _json_object(self._path, line, number)


def _json_object(path: Path, line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as exc:
        raise FileFormatError(f"{path}: line {number} is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise FileFormatError(f"{path}: line {number}: expected an object, found {type(found).__name__}")
    return found


class TextReader(_LineReader):
    """Every line is a text."""

    columns: tuple[str, ...] = (LINE_COLUMN,)

    def _rows(self) -> Iterator[dict[str, Any]]:
        return ({LINE_COLUMN: line.rstrip("\r\n")} for line in self._lines())


class ParquetReader:
    """A Parquet file, read by row groups."""

    def __init__(self, path: Path) -> None:
        from pyarrow import (  # type: ignore[import-untyped]  # noqa: PLC0415  # an extra
            ArrowException,
            parquet,
        )

        self._path = path
        self._errors = (ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(path)
        except ArrowException as exc:
            raise FileFormatError(f"{path} is no Parquet file: {exc}") from exc
        self.columns = tuple(self._file.schema_arrow.names)
        self.size = self._file.metadata.num_rows
        self._position = 0

    @property
    def position(self) -> int:
        return self._position

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        try:
            yield from self._batches(rows_per_chunk, skipped_rows)
        except self._errors as exc:
            raise FileFormatError(f"{self._path} cannot be read to its end: {exc}") from exc

    def _batches(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        to_skip = skipped_rows
        self._position = skipped_rows
        for batch in self._file.iter_batches(batch_size=rows_per_chunk):
            kept = batch.slice(min(to_skip, batch.num_rows))
            to_skip -= batch.num_rows - kept.num_rows
            if kept.num_rows:
                self._position += kept.num_rows
                yield kept

    def close(self) -> None:
        self._file.close()


SUFFIX_TO_READER: Final[dict[str, type[Reader]]] = {
    ".csv": CsvReader,
    ".jsonl": JsonLinesReader,
    ".parquet": ParquetReader,
    ".tsv": TsvReader,
    ".txt": TextReader,
}


def opened(path: Path) -> Reader:
    """The reader for a file, chosen by its suffix.

    Raises:
        FileFormatError: the file is not there, or of no format known here.
    """
    reader = SUFFIX_TO_READER.get(path.suffix.lower())
    if reader is None:
        raise FileFormatError(f"{path}: expected one of {', '.join(SUFFIX_TO_READER)}, found {path.suffix!r}")
    try:
        return reader(path)
    except OSError as exc:
        raise FileFormatError(f"cannot read {path}: {exc.strerror}") from exc


def as_dictionaries(rows: Rows) -> list[dict[str, Any]]:
    """The rows of either kind as dictionaries."""
    if isinstance(rows, list):
        return rows
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def column(rows: Rows, name: str) -> Iterable[Any]:
    """The values of one column."""
    if isinstance(rows, list):
        return [row.get(name) for row in rows]
    return list(rows.column(name).to_pylist())
