"""Rows of a file as the readers give them, and the values in them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from bertriton._files.formats.arrow_values import plain_values

if TYPE_CHECKING:
    from collections.abc import Iterable

# Rows of a file: dictionaries, or for Parquet a pyarrow.RecordBatch, which keeps its types.
Rows = Any

Columns = dict[str, list[Any]]  # what is added to rows, by name


class Kind(Enum):
    """What an added column holds, beside None."""

    WORD = "text"
    NUMBER = "floating-point numbers"
    COUNT = "whole numbers"
    FLAG = "true and false"
    WORDS = "lists of texts"


def as_dictionaries(rows: Rows, first_row: int = 1) -> list[dict[str, Any]]:
    """The rows of either kind as dictionaries.

    Raises:
        FileFormatError: a typed value cannot be read; it is named by its row, counted from `first_row`.
    """
    if isinstance(rows, list):
        return rows
    names = rows.schema.names
    columns = [plain_values(name, rows.column(place), first_row) for place, name in enumerate(names)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def column(rows: Rows, name: str) -> Iterable[Any]:
    """The values of one column; bytes are text, and what is no UTF-8 in them is for the client to refuse."""
    if isinstance(rows, list):
        return [row.get(name) for row in rows]
    return plain_values(name, rows.column(name))


def joined(rows: Rows, added: Columns) -> list[dict[str, Any]]:
    """Rows as dictionaries with the columns that are added to them."""
    names = list(added)
    return [
        row | dict(zip(names, values, strict=True))
        for row, values in zip(as_dictionaries(rows), zip(*added.values(), strict=True), strict=True)
    ]
