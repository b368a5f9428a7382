"""A user's file of texts for int8, in any format that `bertriton classify --input` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton._files import FileFormatError, column, opened
from bertriton_export.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_COLUMN: Final = "text"  # the lines of a plain text file have this name too
_ROWS_PER_CHUNK: Final = 2000


def read_validation_texts(file: Path, name: str = DEFAULT_COLUMN) -> list[str]:
    """The texts of one column; labels beside it are not read, since fp32 is what int8 must match.

    Args:
        file: .txt with a text a line, .csv, .tsv, .jsonl or .parquet.
        name: of the column.

    Raises:
        OptionError: the file cannot be read, has no such column, or holds something else than texts in it.
    """
    try:
        reader = opened(file)
        try:
            if name not in reader.columns:
                raise OptionError(
                    f"{file} has no column {name!r}: found {', '.join(reader.columns) or 'none'}; "
                    "choose one with --validation-column"
                )
            rows = [text for chunk in reader.chunks(_ROWS_PER_CHUNK, 0) for text in column(chunk, name)]
        finally:
            reader.close()
    except FileFormatError as exc:
        raise OptionError(f"validation texts: {exc}") from exc
    return [_text(file, row, value) for row, value in enumerate(rows, start=1) if value not in (None, "")]


def _text(file: Path, row: int, value: object) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{file}: row {row}: expected a text, found {value!r}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise OptionError(f"{file}: row {row} is not UTF-8") from exc
    return value
