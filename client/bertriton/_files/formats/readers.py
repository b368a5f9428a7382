"""Which format a file of texts is of, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.delimited import CsvReader, TsvReader
from bertriton._files.formats.faces import LineReader, Reader
from bertriton._files.formats.json_lines import JsonLinesReader
from bertriton._files.formats.lines import without_end
from bertriton._files.formats.parquet import ParquetReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE_COLUMN: Final = "text"  # what the lines of a plain text file are called


class TextReader(LineReader):
    """Every line is a text."""

    columns: tuple[str, ...] = (LINE_COLUMN,)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self._file.lines(), start=1):
            yield {LINE_COLUMN: without_end(line, number, str(self._path))}


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
        FileFormatError: the file is not there, of no format known here, or has two columns of one name; or it
            is a pipe or the like, which cannot be read twice.
    """
    reader = SUFFIX_TO_READER.get(path.suffix.lower())
    if reader is None:
        raise FileFormatError(f"{path}: expected one of {', '.join(SUFFIX_TO_READER)}, found {path.suffix!r}")
    try:
        _require_regular(path)
        return reader(path)
    except OSError as exc:
        raise FileFormatError(f"cannot read {path}: {exc.strerror or exc}") from exc


def _require_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise FileFormatError(f"{path} is not a regular file, and files are read twice: save it as one first")
