"""Two models on the same labelled texts: fp32 against int8, old against new."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import binomtest

from bertriton_evaluate.errors import ComparisonError
from bertriton_evaluate.texts import cells_of_rows, column_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bertriton_evaluate.texts import LabelledTexts, Predictions

SHOWN_DIFFERENCES: Final = 10
_END: Final = object()  # of the shorter of two files


@dataclass(frozen=True)
class Difference:
    """A text that two models see differently."""

    row: int  # in the file, from 1 on
    text: str
    label: str  # what it is
    said: str  # by the model that is evaluated
    other_said: str
    difference: float  # largest |difference of probability| of a label


@dataclass(frozen=True)
class Comparison:
    """How far two models agree, over the texts that both have answered."""

    other: str  # what is compared with
    texts: int  # texts that both answered
    accuracy: float  # share of them that this model has right
    other_accuracy: float  # share of them that the other has right
    agreement: float  # share of texts with the same label said
    right_alone: int  # texts that the model has right and the other has wrong
    other_right_alone: int  # texts that the other alone has right
    p_value: float  # of the exact McNemar test
    mean_difference: float  # |difference of probability|, over texts and labels
    max_difference: float  # largest difference of a probability
    most_different: tuple[Difference, ...]  # the largest first


def mcnemar_p_value(right_alone: int, other_right_alone: int) -> float:
    """The exact McNemar test: how likely so unequal a count is, were either model right alone as often.

    McNemar: Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12 (1947); exact as the two-sided binomial test of the discordant pairs at one half.

    Example:
        >>> mcnemar_p_value(10, 0)
        0.001953125
    """
    discordant = right_alone + other_right_alone
    return float(binomtest(right_alone, discordant).pvalue) if discordant else 1.0


def compare(
    predictions: Predictions,
    other: Predictions,
    texts: LabelledTexts,
    expected: NDArray[np.intp],
    *,
    name: str,
) -> Comparison:
    """Compare two models.

    Args:
        predictions: of the model that is evaluated, R texts.
        other: of another on the same texts, see `require_comparable`.
        texts: what both have read.
        expected: what each text is, (R), places among the labels of `predictions`.
        name: what to call the other.

    Raises:
        ComparisonError: labels differ, or no text has two answers.
    """
    both = predictions.answered & other.answered  # (R)
    if not both.any():
        raise ComparisonError(f"{name}: no text has an answer of both models")
    probabilities = predictions.probabilities[both]  # (B, C)
    others = _in_order(other, predictions.labels)[both]  # (B, C)
    said, other_said = probabilities.argmax(axis=1), others.argmax(axis=1)  # (B)
    is_right, other_is_right = said == expected[both], other_said == expected[both]
    right_alone, other_right_alone = (is_right & ~other_is_right).sum(), (~is_right & other_is_right).sum()
    distances = np.abs(probabilities - others)  # (B, C)
    pairs = _Pairs(np.flatnonzero(both), expected[both], said, other_said, distances.max(axis=1))
    return Comparison(
        other=name,
        texts=int(both.sum()),
        accuracy=float(is_right.mean()),
        other_accuracy=float(other_is_right.mean()),
        agreement=float((said == other_said).mean()),
        right_alone=int(right_alone),
        other_right_alone=int(other_right_alone),
        p_value=mcnemar_p_value(int(right_alone), int(other_right_alone)),
        mean_difference=float(distances.mean()),
        max_difference=float(distances.max()),
        most_different=pairs.most_different(texts, predictions.labels),
    )


def require_comparable(other: Predictions, texts: LabelledTexts, labels: Sequence[str]) -> None:
    """See that predictions in a file are of these texts, row by row, and of these labels in any order.

    Raises:
        ComparisonError: they are not; names the first row that differs.
        FileFormatError: a file cannot be read, or has no such column of texts.
    """
    require_same_labels(str(other.file), other.labels, labels)
    rows = zip_longest(
        *(column_of(file, texts.text_column) for file in (other.file, texts.file)), fillvalue=_END
    )
    for row, (found, text) in enumerate(rows, start=1):
        if found is _END or text is _END:
            shorter, longer = (other.file, texts.file) if found is _END else (texts.file, other.file)
            raise ComparisonError(f"{shorter} ends after row {row - 1}, {longer} does not")
        if (found or "") != (text or ""):
            raise ComparisonError(f"{other.file}: row {row} holds another text than {texts.file}")


def require_same_labels(name: str, found: Sequence[str], expected: Sequence[str]) -> None:
    """See that another model has these labels, in any order.

    Raises:
        ComparisonError: it has others.
    """
    if sorted(found) != sorted(expected):
        raise ComparisonError(f"{name}: expected the labels {', '.join(expected)}, found {', '.join(found)}")


def _in_order(other: Predictions, labels: Sequence[str]) -> NDArray[np.float64]:
    """The other's probabilities with their columns in the order of the labels, (R, C)."""
    require_same_labels(str(other.file), other.labels, labels)
    return other.probabilities[:, [other.labels.index(label) for label in labels]]


@dataclass(frozen=True)
class _Pairs:
    """What two models said of the B texts that both have answered."""

    rows: NDArray[np.intp]  # in the file, from 0 on
    expected: NDArray[np.intp]
    said: NDArray[np.intp]
    other_said: NDArray[np.intp]
    distances: NDArray[np.float64]

    def most_different(self, texts: LabelledTexts, labels: Sequence[str]) -> tuple[Difference, ...]:
        """The texts that they see most differently, the worst first."""
        worst = np.argsort(-self.distances, kind="stable")[:SHOWN_DIFFERENCES]
        worst = worst[self.distances[worst] > 0]
        wanted = {int(row) for row in self.rows[worst]}
        row_to_text = cells_of_rows(texts.file, texts.text_column, wanted)
        return tuple(
            Difference(
                row=int(self.rows[pair]) + 1,
                text=row_to_text[int(self.rows[pair])],
                label=labels[self.expected[pair]],
                said=labels[self.said[pair]],
                other_said=labels[self.other_said[pair]],
                difference=float(self.distances[pair]),
            )
            for pair in worst
        )
