"""The formats: csv, tsv, jsonl, parquet and txt, each with its reader and its writer.

In: a file of rows. Out: chunks of its rows, and files that hold them with more columns. What a format cannot
hold is refused by name and line.
"""

from bertriton._files.formats.delimited import LABEL_SEPARATOR
from bertriton._files.formats.encodings import HEAD_BYTES, encoding_of
from bertriton._files.formats.faces import Reader, Writer
from bertriton._files.formats.lines import without_end
from bertriton._files.formats.readers import LINE_COLUMN, SUFFIX_TO_READER, opened
from bertriton._files.formats.rows import Columns, Kind, Rows, column
from bertriton._files.formats.writers import DELIMITED_SUFFIXES, writer_for

__all__ = [
    "DELIMITED_SUFFIXES",
    "HEAD_BYTES",
    "LABEL_SEPARATOR",
    "LINE_COLUMN",
    "SUFFIX_TO_READER",
    "Columns",
    "Kind",
    "Reader",
    "Rows",
    "Writer",
    "column",
    "encoding_of",
    "opened",
    "without_end",
    "writer_for",
]
