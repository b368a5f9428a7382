"""Rows of a file as the readers give them, and the values in them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bertriton._files.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Rows of a file: dictionaries, or for Parquet a pyarrow.RecordBatch, which keeps its types.
Rows = Any

# Bytes that are no UTF-8 are kept, refused by the client, and written back as they were.
BYTES_WITHOUT_MEANING: Final = "surrogateescape"


Columns = dict[str, list[Any]]  # what is added to rows, by name


class Kind(Enum):
    """What an added column holds, beside None."""

    WORD = "text"
    NUMBER = "floating-point numbers"
    COUNT = "whole numbers"
    FLAG = "true and false"
    WORDS = "lists of texts"


def as_dictionaries(rows: Rows) -> list[dict[str, Any]]:
    """The rows of either kind as dictionaries."""
    if isinstance(rows, list):
        return rows
    names = rows.schema.names
    columns = [_plain_values(name, rows.column(place)) for place, name in enumerate(names)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def column(rows: Rows, name: str) -> Iterable[Any]:
    """The values of one column; bytes are text, and what is no UTF-8 in them is for the client to refuse."""
    if isinstance(rows, list):
        return [row.get(name) for row in rows]
    return _plain_values(name, rows.column(name))


def as_text(value: object) -> str:
    """A value that JSON has no word for: bytes are text, and of the rest `str` is what there is."""
    return value.decode("utf-8", BYTES_WITHOUT_MEANING) if isinstance(value, bytes) else str(value)


def _plain_values(name: str, array: Any) -> list[Any]:  # noqa: ANN401  # pyarrow is untyped
    """An Arrow array as Python's values; where Python has none that are as exact, as text."""
    import pyarrow as pa  # noqa: PLC0415  # an extra

    try:
        if str(array.type).startswith(("timestamp[ns", "duration[ns", "time64[ns")):
            array = array.cast(pa.string())
        try:
            values = array.to_pylist()
        except UnicodeDecodeError:
            values = array.cast(pa.large_binary()).to_pylist()
        except (ValueError, OverflowError):  # a date after the year 9999
            values = array.cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as exc:
        raise FileFormatError(f"column {name!r} holds values that cannot be read: {exc}") from exc
    return [as_text(value) if isinstance(value, bytes) else value for value in values]


def joined(rows: Rows, added: Columns) -> list[dict[str, Any]]:
    """Rows as dictionaries with the columns that are added to them."""
    names = list(added)
    return [
        row | dict(zip(names, values, strict=True))
        for row, values in zip(as_dictionaries(rows), zip(*added.values(), strict=True), strict=True)
    ]
