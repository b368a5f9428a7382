"""Which format answers are written in, by the name of the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.delimited import CsvWriter, TsvWriter
from bertriton._files.formats.json_lines import JsonLinesWriter
from bertriton._files.formats.parquet import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton._files.formats.faces import Writer

SUFFIX_TO_WRITER: Final[dict[str, Callable[[], Writer]]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
    ".tsv": TsvWriter,
}
DELIMITED_SUFFIXES: Final = (".csv", ".tsv")  # where a list of labels is one field


def writer_for(path: Path) -> Writer:
    """The writer for a file, chosen by its suffix.

    Raises:
        FileFormatError: the suffix is of no format known here.
    """
    writer = SUFFIX_TO_WRITER.get(path.suffix.lower())
    if writer is None:
        raise FileFormatError(f"{path}: expected one of {', '.join(SUFFIX_TO_WRITER)}, found {path.suffix!r}")
    return writer()
