"""The types of columns that come without any, found by looking at all their values."""

from __future__ import annotations

import json
from typing import Any, Final

from bertriton._files.errors import FileFormatError

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_UINT64_MAX: Final = 2**64 - 1
_EXACT_MAX: Final = 2**53  # whole numbers to which a floating-point number is exact

_WHOLE: Final = "a whole number"
_NUMBER: Final = "a number"
_TYPE_TO_KIND: Final[dict[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: _WHOLE,
    float: _NUMBER,
    list: "a list",
    dict: "an object",
}
_ADVICE: Final = ".parquet has one type a column: use .jsonl or .csv output"


class _Column:
    """What the values of one column have been."""

    def __init__(self) -> None:
        self.kind_to_row: dict[str, int] = {}  # the first row of each
        self.least = self.most = 0  # of the whole numbers
        self.type: Any = None  # Arrow's, of lists and objects
        self.large: Any = None  # the last list or object with whole numbers beyond floating point

    def see(self, value: Any, row: int) -> None:  # noqa: ANN401  # of JSON
        """Take note of a value.

        Raises:
            ValueError: it has no place beside those before.
        """
        kind = _TYPE_TO_KIND[type(value)]
        if kind not in self.kind_to_row:
            self._see_kind(kind, row)
        if kind is _WHOLE:
            self.least, self.most = min(self.least, value), max(self.most, value)
            self._check_range()
        elif kind is _NUMBER:
            self._check_range()
        elif isinstance(value, str):
            _require_utf8(value)
        elif isinstance(value, (list, dict)):
            self._see_nested(value)

    def arrow_type(self) -> Any:  # noqa: ANN401  # pyarrow is untyped
        """The type for all values; of none at all that of text."""
        import pyarrow as pa  # noqa: PLC0415  # an extra

        if self.type is not None:
            return self.type
        kinds = set(self.kind_to_row)
        if kinds <= {"a text"}:
            return pa.string()
        if kinds == {"true or false"}:
            return pa.bool_()
        if _NUMBER in kinds:
            return pa.float64()
        return pa.int64() if self.most <= _INT64_MAX else pa.uint64()

    def _see_kind(self, kind: str, row: int) -> None:
        self.kind_to_row[kind] = row
        if len(self.kind_to_row) > 1 and self.kind_to_row.keys() != {_WHOLE, _NUMBER}:
            other, first = next(iter(self.kind_to_row.items()))
            raise ValueError(f"is {kind}, and {other} in row {first}")

    def _check_range(self) -> None:
        if _NUMBER in self.kind_to_row:
            if max(-self.least, self.most) > _EXACT_MAX:
                raise ValueError("holds fractions, and whole numbers that cannot be told apart as such")
        elif self.least < _INT64_MIN or self.most > (_INT64_MAX if self.least < 0 else _UINT64_MAX):
            raise ValueError("holds whole numbers of more than 64 bits")

    def _see_nested(self, value: Any) -> None:  # noqa: ANN401
        import pyarrow as pa  # noqa: PLC0415

        _require_utf8(json.dumps(value, ensure_ascii=False))
        if _has_large(value):
            self.large = value
        try:
            found = pa.infer_type([value])
            if self.type is None:
                self.type = found
            elif found != self.type:
                fields = [pa.schema([("x", arrow_type)]) for arrow_type in (self.type, found)]
                self.type = pa.unify_schemas(fields, promote_options="permissive").field("x").type
            # Arrow infers a type that some of the values have.
            pa.array([value, self.large], self.type)
        except (pa.ArrowException, OverflowError) as exc:
            raise ValueError(f"holds values of several types: {exc}") from exc


class ColumnTypes:
    """The types of all columns."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}

    def see(self, row: dict[str, Any], number: int) -> None:
        """Take note of a row.

        Raises:
            FileFormatError: a value has no place beside those of the rows before.
        """
        for name, value in row.items():
            if value is not None:
                try:
                    self._columns.setdefault(name, _Column()).see(value, number)
                except ValueError as exc:
                    raise FileFormatError(f"row {number}: column {name!r} {exc}: {_ADVICE}") from exc

    def of(self, name: str) -> Any:  # noqa: ANN401  # pyarrow is untyped
        """The type of one column, that of text where no row has a value.

        Raises:
            FileFormatError: it is of objects without names, which Parquet has no type for.
        """
        found = self._columns.get(name, _Column()).arrow_type()
        if _is_without_names(found):
            raise FileFormatError(
                f"column {name!r} holds objects without names in every row, for which .parquet has no type: "
                "use .jsonl or .csv output"
            )
        return found


def _has_large(value: Any) -> bool:  # noqa: ANN401  # of JSON
    """Whether a list or object holds a whole number to which floating point is not exact."""
    if isinstance(value, (list, dict)):
        return any(map(_has_large, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and abs(value) > _EXACT_MAX


def _is_without_names(arrow_type: Any) -> bool:  # noqa: ANN401  # pyarrow is untyped
    """Whether a type is, or holds, that of objects without any names."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(arrow_type):
        return arrow_type.num_fields == 0 or any(_is_without_names(field.type) for field in arrow_type)
    return bool(pa.types.is_list(arrow_type)) and _is_without_names(arrow_type.value_type)


def _require_utf8(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(f"is not UTF-8 ({text[exc.start]!r})") from exc
