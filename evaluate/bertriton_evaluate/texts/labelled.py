"""Labelled texts: a file with a column of texts and one of what they are."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # dataclass fields stay readable by typing.get_type_hints
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  # likewise
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton._files import FileFormatError, column, opened
from bertriton_evaluate.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

ROWS_PER_CHUNK: Final = 2000
DEFAULT_TEXT_COLUMN: Final = "text"
DEFAULT_LABEL_COLUMN: Final = "label"


@dataclass(frozen=True)
class LabelledTexts:
    """Which file, and what its columns mean."""

    file: Path  # .csv, .tsv, .jsonl or .parquet
    text_column: str = DEFAULT_TEXT_COLUMN  # column that holds the text
    label_column: str = DEFAULT_LABEL_COLUMN  # column that holds the true label
    pair_column: str | None = None  # the second text of a pair
    label_map: Mapping[str, str] = field(default_factory=dict)  # the file's word -> the model's label

    def labels(self, names: Sequence[str]) -> NDArray[np.intp]:
        """What every row is, as places among the model's labels.

        The column holds labels as the model names them, or their places from 0 on, and not both: a label that
        is called "1" would be two things. What `label_map` translates is a name.

        Args:
            names: the model's labels.

        Raises:
            FileFormatError: the file cannot be read, lacks a column or has no rows.
            LabelError: a row's label is none of the model's.
        """
        for target in self.label_map.values():
            if target not in names:
                raise LabelError(f"label map: {target!r} is not a label of the model: {', '.join(names)}")
        values = [self.label_map.get(value, value) for value in self._values()]
        if not values:
            raise FileFormatError(f"{self.file} holds no rows")
        name_to_place = {name: place for place, name in enumerate(names)}
        if not any(value in name_to_place for value in values):
            name_to_place = {str(place): place for place in range(len(names))}
        for row, value in enumerate(values, start=1):
            if value not in name_to_place:
                raise LabelError(
                    f"{self.file}: row {row}: {self.label_column} is {value!r}, expected one of the model's "
                    f"labels {', '.join(names)}, or in all rows their places 0 to {len(names) - 1}"
                )
        return np.array([name_to_place[value] for value in values])

    def _values(self) -> Iterator[str]:
        for value in column_of(self.file, self.label_column):
            yield _as_word(value)


def column_of(file: Path, name: str) -> Iterator[object]:
    """The values of one column, row by row.

    Raises:
        FileFormatError: the file cannot be read, or has no such column.
    """
    reader = opened(file)
    try:
        if name not in reader.columns:
            raise FileFormatError(
                f"{file} has no column {name!r}: found {', '.join(reader.columns) or 'none'}"
            )
        for rows in reader.chunks(ROWS_PER_CHUNK, 0):
            yield from column(rows, name)
    finally:
        reader.close()


def cells_of_rows(file: Path, name: str, rows: AbstractSet[int]) -> dict[int, str]:
    """The cells of one column in some rows, counted from 0, as text.

    Raises:
        FileFormatError: the file cannot be read, or has no such column.
    """
    cells = enumerate(column_of(file, name))
    return {row: str(cell) for row, cell in cells if row in rows}


def _as_word(value: object) -> str:
    """A cell as it would stand in a CSV file: 1 for 1 and 1.0, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
