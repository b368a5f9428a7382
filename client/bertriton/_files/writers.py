"""Answers written beside the rows they belong to: parts first, then one file out of all parts."""

from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING, Any, Final, Protocol

from bertriton._files.errors import FileFormatError
from bertriton._files.readers import Rows, as_dictionaries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Columns = dict[str, list[Any]]  # what is added to the rows, by name


class Writer(Protocol):
    """One format of output."""

    def __init__(self, columns: Sequence[str]) -> None:
        """For files of these columns."""

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, in their order."""


class CsvWriter:
    """Comma-separated values; the header is written once, when the parts are joined."""

    delimiter = ","

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        known = set(self._columns)
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file, delimiter=self.delimiter)
            for row in _joined(rows, added):
                if unknown := row.keys() - known:
                    raise FileFormatError(
                        f"column {min(unknown)!r} is not in the first row: use .jsonl output"
                    )
                writer.writerow([_as_field(row.get(name)) for name in self._columns])

    def join(self, parts: Sequence[Path], path: Path) -> None:
        header = io.StringIO(newline="")
        csv.writer(header, delimiter=self.delimiter).writerow(self._columns)
        with path.open("wb") as file:
            file.write(header.getvalue().encode("utf-8", "surrogateescape"))
            _copy(parts, file)


class TsvWriter(CsvWriter):
    """Tab-separated values."""

    delimiter = "\t"


class JsonLinesWriter:
    """One JSON object per line."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        with path.open("wb") as file:
            for row in _joined(rows, added):
                # A byte without meaning in UTF-8 becomes an escape that JSON knows.
                line = json.dumps(row, ensure_ascii=False, default=str) + "\n"
                file.write(line.encode("utf-8", "backslashreplace"))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        with path.open("wb") as file:
            _copy(parts, file)


class ParquetWriter:
    """Parquet; a Parquet input keeps its types."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415  # an extra
        from pyarrow import parquet  # noqa: PLC0415

        if isinstance(rows, list):
            rows = pa.RecordBatch.from_pylist(rows)
        table = pa.Table.from_batches([rows])
        for name, values in added.items():
            table = table.append_column(name, pa.array(values))
        parquet.write_table(table, path)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        if not parts:
            parquet.write_table(pa.table({name: [] for name in self._columns}), path)
            return
        # A column may be empty in one part and numbers in the next; where it is always empty it is text.
        schema = pa.unify_schemas([parquet.read_schema(part) for part in parts], promote_options="permissive")
        schema = pa.schema(
            field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema
        )
        with parquet.ParquetWriter(path, schema) as writer:
            for part in parts:
                tables = [schema.empty_table(), parquet.read_table(part)]
                writer.write_table(pa.concat_tables(tables, promote_options="permissive"))


SUFFIX_TO_WRITER: Final[dict[str, type[Writer]]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
    ".tsv": TsvWriter,
}


def writer_for(path: Path, columns: Sequence[str]) -> Writer:
    """The writer for a file, chosen by its suffix.

    Raises:
        FileFormatError: the suffix is of no format known here.
    """
    writer = SUFFIX_TO_WRITER.get(path.suffix.lower())
    if writer is None:
        raise FileFormatError(f"{path}: expected one of {', '.join(SUFFIX_TO_WRITER)}, found {path.suffix!r}")
    return writer(columns)


def _joined(rows: Rows, added: Columns) -> list[dict[str, Any]]:
    names = list(added)
    return [
        row | dict(zip(names, values, strict=True))
        for row, values in zip(as_dictionaries(rows), zip(*added.values(), strict=True), strict=True)
    ]


def _as_field(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _copy(parts: Sequence[Path], file: Any) -> None:  # noqa: ANN401  # a binary file
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file)
