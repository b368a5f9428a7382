"""Every figure is the one that its definition gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report, f1_score, precision_score, recall_score

from bertriton_evaluate.figures import CALIBRATION_BINS, metrics
from bertriton_evaluate.figures.single_label import calibration_bins, calibration_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bertriton_evaluate import Predictions


def test_scores_are_those_of_scikit_learn(random_answers: tuple[Predictions, NDArray[np.intp]]) -> None:
    predictions, expected = random_answers
    said = predictions.probabilities.argmax(axis=1)

    found = metrics(predictions, expected)

    assert found.accuracy == accuracy_score(expected, said)
    for average, scores in {"macro": found.macro_average, "weighted": found.weighted_average}.items():
        assert scores.precision == pytest.approx(precision_score(expected, said, average=average))
        assert scores.recall == pytest.approx(recall_score(expected, said, average=average))
        assert scores.f1 == pytest.approx(f1_score(expected, said, average=average))
        assert scores.support == 400
    f1_of_each = f1_score(expected, said, average=None)
    assert [scores.f1 for scores in found.labels.values()] == pytest.approx(f1_of_each)
    names = [predictions.labels[place] for place in expected], [predictions.labels[place] for place in said]
    assert found.table == classification_report(*names, digits=4).rstrip()
    assert found.truncated_share == 37 / 400


def test_scores_of_one_label_are_what_its_counts_say(predictions_of: Callable[..., Predictions]) -> None:
    said = np.array([[0.9, 0.1]] * 5 + [[0.2, 0.8]] * 3)

    found = metrics(predictions_of(said), np.array([0, 0, 0, 1, 1, 1, 1, 0]))

    assert found.confusion == ((3, 1), (2, 2))
    assert (found.labels["a"].precision, found.labels["a"].recall) == (3 / 5, 3 / 4)
    assert found.labels["b"].f1 == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert found.accuracy == 5 / 8


def test_a_label_that_never_occurs_counts_as_nothing_right(
    predictions_of: Callable[..., Predictions],
) -> None:
    found = metrics(predictions_of(np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])), np.array([0, 1]))

    assert found.accuracy == 1
    assert (found.labels["c"].f1, found.labels["c"].support) == (0, 0)
    assert found.macro_average.f1 == pytest.approx(2 / 3)
    assert "accuracy" in found.table


def test_texts_without_an_answer_are_in_no_figure(predictions_of: Callable[..., Predictions]) -> None:
    said = np.array([[0.9, 0.1], [np.nan, np.nan], [0.1, 0.9]])

    found = metrics(predictions_of(said), np.array([0, 0, 1]))

    assert (found.texts, found.accuracy, found.confusion) == (2, 1.0, ((1, 0), (0, 1)))


@pytest.mark.parametrize(
    ("confidences", "is_right", "expected"),
    [
        ([0.7, 0.7, 0.7, 0.7], [True, True, True, False], 0.05),  # one bin: |3/4 - 0.7|
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [False, False], 1.0),
        # Two bins, of half the texts each: |1 - 0.95| and |0 - 0.55|.
        ([0.95, 0.95, 0.55, 0.55], [True, True, False, False], 0.5 * 0.05 + 0.5 * 0.55),
        # In one bin right and wrong make up for each other; 0.61 and 0.65 are in (9/15, 10/15].
        ([0.61, 0.65], [True, False], abs(0.5 - 0.63)),
    ],
)
def test_calibration_error_is_what_a_pencil_says(
    confidences: list[float], is_right: list[bool], expected: float
) -> None:
    bins = calibration_bins(np.array(confidences), np.array(is_right))

    assert calibration_error(bins) == pytest.approx(expected)


def test_bins_are_open_below_and_closed_above() -> None:
    bins = calibration_bins(np.array([0.6, np.nextafter(0.6, 1), 1.0]), np.array([True, True, False]))

    assert CALIBRATION_BINS == len(bins) == 15
    assert [place for place, each in enumerate(bins) if each.texts] == [8, 9, 14]
    assert (bins[8].lower, bins[8].upper) == pytest.approx((8 / 15, 9 / 15))
    assert bins[0].confidence is None


def test_accuracy_by_length_is_of_the_tokens_before_truncation(
    predictions_of: Callable[..., Predictions],
) -> None:
    said = np.array([[0.9, 0.1]] * 5)
    counts = [3, 64, 65, 1024, 1025]

    found = metrics(predictions_of(said, counts), np.array([0, 1, 0, 0, 1]))

    assert {"1-64": (2, 0.5), "65-128": (1, 1.0), "513-1024": (1, 1.0), "over 1024": (1, 0.0)} == {
        bucket.name: (bucket.texts, bucket.accuracy) for bucket in found.lengths if bucket.texts
    }
