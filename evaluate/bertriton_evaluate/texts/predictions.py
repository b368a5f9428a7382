"""What a model said of every text, as a file that `bertriton classify` or an evaluation wrote holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  # dataclass fields stay readable by typing.get_type_hints
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray  # noqa: TC002  # likewise

from bertriton._files import FileFormatError, column, opened
from bertriton_evaluate.texts.labelled import ROWS_PER_CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bertriton._files import Reader, Rows

PREFIX: Final = "predicted_"
SCORE_PREFIX: Final = PREFIX + "score_"
TOKEN_COUNT: Final = PREFIX + "token_count"
TRUNCATED: Final = PREFIX + "truncated"
ERROR: Final = PREFIX + "error"


@dataclass(frozen=True)
class Predictions:
    """The answers to all rows of a file, R rows and C labels; what could not be classified is NaN and 0."""

    file: Path  # where they were read from
    labels: tuple[str, ...]  # the model's, in the order of the probabilities
    probabilities: NDArray[np.float64]  # (R, C)
    token_counts: NDArray[np.intp]  # (R), of the whole text
    truncated: NDArray[np.bool_]  # (R)
    errors: dict[int, str]  # row from 0 -> why it could not be classified

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows have an answer, (R)."""
        answered: NDArray[np.bool_] = np.isfinite(self.probabilities.max(axis=1))
        return answered

    @property
    def decisions(self) -> NDArray[np.intp]:
        """The place of the most probable label, (R); 0 where there is no answer."""
        decisions: NDArray[np.intp] = np.nan_to_num(self.probabilities).argmax(axis=1)
        return decisions


def require_no_predictions(file: Path) -> None:
    """See that a file of texts has no columns that predictions would get.

    Raises:
        FileFormatError: it has, or cannot be read.
    """
    reader = opened(file)
    try:
        taken = [name for name in reader.columns if name.startswith(PREFIX)]
    finally:
        reader.close()
    if taken:
        raise FileFormatError(
            f"{file} holds predictions already (column {taken[0]!r}): pass the file that they were made from"
        )


def read_predictions(file: Path) -> Predictions:
    """Read a file of predictions back.

    Raises:
        FileFormatError: it cannot be read, or a column is missing or holds something else.
    """
    reader = opened(file)
    try:
        _require_columns(file, reader)
        labels = tuple(
            name.removeprefix(SCORE_PREFIX) for name in reader.columns if name.startswith(SCORE_PREFIX)
        )
        chunks = [_Chunk(rows, labels) for rows in reader.chunks(ROWS_PER_CHUNK, 0)]
    except (TypeError, ValueError) as exc:
        raise FileFormatError(f"{file} is not a file of predictions: {exc}") from exc
    finally:
        reader.close()
    if not chunks:
        raise FileFormatError(f"{file} holds no rows")
    errors = enumerate(error for chunk in chunks for error in chunk.errors)
    return Predictions(
        file=file,
        labels=labels,
        probabilities=np.concatenate([chunk.probabilities for chunk in chunks]),
        token_counts=np.concatenate([chunk.token_counts for chunk in chunks]),
        truncated=np.concatenate([chunk.truncated for chunk in chunks]),
        errors={row: error for row, error in errors if error},
    )


class _Chunk:
    """Some rows as arrays."""

    def __init__(self, rows: Rows, labels: tuple[str, ...]) -> None:
        scores = [_numbers(column(rows, SCORE_PREFIX + label)) for label in labels]
        self.probabilities = np.stack(scores, axis=1)
        self.token_counts = np.nan_to_num(_numbers(column(rows, TOKEN_COUNT))).astype(np.intp)
        # A CSV file has words for what others have as true and false.
        self.truncated = np.array([value in (True, "True") for value in column(rows, TRUNCATED)])
        self.errors = [str(value) if value else "" for value in column(rows, ERROR)]


def _numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value in (None, "") else float(value) for value in values])


def _require_columns(file: Path, reader: Reader) -> None:
    for name in (TOKEN_COUNT, TRUNCATED, ERROR):
        if name not in reader.columns:
            raise FileFormatError(
                f"{file} is not a file of predictions: it has no column {name!r}, "
                f"only {', '.join(reader.columns) or 'none'}"
            )
    if not any(name.startswith(SCORE_PREFIX) for name in reader.columns):
        raise FileFormatError(f"{file} is not a file of predictions: it has no column {SCORE_PREFIX}LABEL")
