"""Parquet: typed columns. A Parquet input keeps its types; those of other inputs come from all their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.faces import require_distinct
from bertriton._files.formats.inference import ColumnTypes
from bertriton._files.formats.rows import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bertriton._files.formats.rows import Columns, Rows

_KIND_TO_TYPE: Final = {
    Kind.WORD: "string",
    Kind.NUMBER: "float64",
    Kind.COUNT: "int64",
    Kind.FLAG: "bool_",
}


class ParquetReader:
    """A Parquet file, read by row groups."""

    has_header = True
    is_typed = True

    def __init__(self, path: Path) -> None:
        from pyarrow import (  # noqa: PLC0415  # an extra
            ArrowException,
            parquet,
        )

        self._path = path
        self._errors = (ArrowException, OSError)
        self._source = path.open("rb")  # Arrow takes some names for addresses: here and below it gets none
        try:
            self._file = parquet.ParquetFile(self._source)
            self.schema = self._file.schema_arrow
            self.columns = tuple(self.schema.names)
            require_distinct(path, self.columns)
        except (*self._errors, FileFormatError) as exc:
            self._source.close()
            if isinstance(exc, ArrowException):
                raise FileFormatError(f"{path} is not a Parquet file: {exc}") from exc
            raise
        self.size = self._file.metadata.num_rows
        self._position = 0

    @property
    def position(self) -> int:
        """Rows read so far."""
        return self._position

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        """The rows after the skipped ones, in order; a second time from the start again."""
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
        """Close the file."""
        self._file.close()
        self._source.close()


class ParquetWriter:
    """Parquet; every part has the types of the whole."""

    checks_typed = False

    def __init__(self) -> None:
        # An extra: better missed now than when texts are classified.
        import pyarrow as pa  # noqa: F401, PLC0415

        self._types = ColumnTypes()
        self._schema: Any = None
        self._added: tuple[str, ...] = ()

    def check(self, rows: Rows, first_row: int) -> None:
        """Refuse a value whose type is not that of its column."""
        for number, row in enumerate(rows, start=first_row):
            self._types.see(row, number)

    def begin(self, columns: Sequence[str], schema: Any, added: Mapping[str, Kind]) -> None:  # noqa: ANN401
        """Say which columns the rows have, the schema of typed ones, and what is added."""
        import pyarrow as pa  # noqa: PLC0415

        if schema is None:
            schema = pa.schema([(name, self._types.of(name)) for name in columns])
        for name, kind in added.items():
            arrow_type = pa.list_(pa.string()) if kind is Kind.WORDS else getattr(pa, _KIND_TO_TYPE[kind])()
            schema = schema.append(pa.field(name, arrow_type))
        self._schema = schema
        self._added = tuple(added)

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        try:
            arrays = [
                added[field.name] if field.name in added else _values(rows, field.name)
                for field in self._schema
            ]
            table = pa.table(
                [
                    values if isinstance(values, pa.Array) else pa.array(values, field.type)
                    for values, field in zip(arrays, self._schema, strict=True)
                ],
                schema=self._schema,
            )
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as exc:
            raise FileFormatError(f"rows do not fit the columns' types: {exc}") from exc
        with path.open("wb") as file:
            parquet.write_table(table, file)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, in their order."""
        from pyarrow import parquet  # noqa: PLC0415

        with path.open("wb") as whole, parquet.ParquetWriter(whole, self._schema) as writer:
            for part in parts:
                with part.open("rb") as file:
                    writer.write_table(parquet.read_table(file, schema=self._schema))


def _values(rows: Rows, name: str) -> Any:  # noqa: ANN401  # a list or an Arrow array
    return [row.get(name) for row in rows] if isinstance(rows, list) else rows.column(name)
