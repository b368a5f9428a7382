"""Files of texts: read chunk by chunk, classified by a job that can be resumed, written with their answers.

In: csv, tsv, jsonl, parquet or txt. Out: the same rows with columns of answers beside them.
"""

from bertriton._files.errors import FileFormatError
from bertriton._files.formats import (
    HEAD_BYTES,
    LINE_COLUMN,
    SUFFIX_TO_READER,
    Reader,
    Rows,
    column,
    encoding_of,
    opened,
    without_end,
)
from bertriton._files.job import FileJob, Progress, description, run
from bertriton._files.parts import parts_folder
from bertriton._files.places import require_no_loss
from bertriton._files.progress import file_progress

__all__ = [
    "HEAD_BYTES",
    "LINE_COLUMN",
    "SUFFIX_TO_READER",
    "FileFormatError",
    "FileJob",
    "Progress",
    "Reader",
    "Rows",
    "column",
    "description",
    "encoding_of",
    "file_progress",
    "opened",
    "parts_folder",
    "require_no_loss",
    "run",
    "without_end",
]
