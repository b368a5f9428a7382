"""The values of an Arrow array as Python's own; what Python has nothing as exact for becomes text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton._files.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes that are no UTF-8 are kept, refused by the client, and written back as they were.
BYTES_WITHOUT_MEANING: Final = "surrogateescape"

# Python's times have microseconds; what Arrow makes of shorter ones depends on whether pandas is installed.
_NANOSECONDS: Final = ("timestamp[ns", "duration[ns", "time64[ns")
# Arrow's own errors are ValueErrors, and RuntimeErrors where it has no conversion. An unknown time
# zone is a KeyError.
_UNREADABLE: Final = (ValueError, OverflowError, KeyError, RuntimeError)


def as_text(value: object) -> str:
    """A value that JSON has no word for: bytes are text, and of the rest `str` is what there is."""
    return value.decode("utf-8", BYTES_WITHOUT_MEANING) if isinstance(value, bytes) else str(value)


def plain_values(name: str, array: Any, first_row: int | None = None) -> list[Any]:  # noqa: ANN401
    """The values of a column.

    Args:
        name: of the column, for messages.
        array: pyarrow's, which is untyped.
        first_row: where the array begins, from 1; None: unknown.

    Raises:
        FileFormatError: there is nothing in Python for one; it is named by its row.
    """
    try:
        values = _values(array)
    except _UNREADABLE as exc:
        place = next((row for row in range(len(array)) if not _is_readable(array.slice(row, 1))), 0)
        row = "" if first_row is None else f"row {first_row + place}: "
        raise FileFormatError(f"{row}column {name!r} cannot be read: {exc}") from exc
    return [as_text(value) if isinstance(value, bytes) else value for value in values]


def _values(array: Any) -> list[Any]:  # noqa: ANN401
    if not any(unit in str(array.type) for unit in _NANOSECONDS):
        try:
            return list(array.to_pylist())
        except _UNREADABLE:  # text that is no UTF-8, or a date after the year 9999
            pass
    return _values_inside(array)


def _values_inside(array: Any) -> list[Any]:  # noqa: ANN401
    """The values of what Arrow alone does not convert, by what is inside of it."""
    from pyarrow import types  # noqa: PLC0415  # an extra

    if types.is_dictionary(array.type):
        return _values(array.dictionary_decode())
    if types.is_struct(array.type):
        return _objects(array)
    if types.is_map(array.type):
        return [None if pairs.values is None else _pairs(pairs.values) for pairs in array]
    if types.is_list(array.type) or types.is_large_list(array.type) or types.is_fixed_size_list(array.type):
        return [None if items.values is None else _values(items.values) for items in array]
    return _words(array)


def _objects(array: Any) -> list[Any]:  # noqa: ANN401
    names = [field.name for field in array.type]
    _require_distinct(names)
    fields = zip(*(_values(array.field(place)) for place in range(len(names))), strict=True)
    return [
        dict(zip(names, values, strict=True)) if is_there else None
        for values, is_there in zip(fields, array.is_valid().to_pylist(), strict=True)
    ]


def _require_distinct(names: Sequence[str]) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"it has several fields of one name, {repeated!r}: use .parquet output")


def _pairs(array: Any) -> list[Any]:  # noqa: ANN401
    return list(zip(_values(array.field(0)), _values(array.field(1)), strict=True))


def _words(array: Any) -> list[Any]:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        values = array.cast(pa.large_binary()).to_pylist()
        return [None if value is None else as_text(value) for value in values]
    return list(array.cast(pa.string()).to_pylist())


def _is_readable(array: Any) -> bool:  # noqa: ANN401
    try:
        _values(array)
    except _UNREADABLE:
        return False
    return True
