"""Two models on the same texts: how far they agree, and whether the difference may be chance."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import binom

from bertriton_evaluate import (
    ComparisonError,
    LabelledTexts,
    compare,
    mcnemar_p_value,
    read_predictions,
    require_comparable,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_evaluate import Predictions


@pytest.mark.parametrize(
    ("alone", "other_alone"), [(0, 0), (1, 0), (0, 6), (5, 5), (8, 3), (40, 61), (3, 120)]
)
def test_mcnemar_is_the_doubled_tail_of_the_binomial(alone: int, other_alone: int) -> None:
    tail = binom.cdf(min(alone, other_alone), alone + other_alone, 0.5)

    assert mcnemar_p_value(alone, other_alone) == pytest.approx(min(1.0, 2 * tail))


def _texts(tmp_path: Path, count: int) -> LabelledTexts:
    file = tmp_path / "texts.jsonl"
    file.write_text(
        "".join(json.dumps({"text": f"text {n}", "label": "a"}) + "\n" for n in range(1, count + 1))
    )
    return LabelledTexts(file)


def test_figures_are_what_the_answers_say(predictions_of: Callable[..., Predictions], tmp_path: Path) -> None:
    mine = predictions_of(np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [np.nan, np.nan], [0.5, 0.5]]))
    other = predictions_of(np.array([[0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.9, 0.1], [0.4, 0.6]]))

    found = compare(mine, other, _texts(tmp_path, 5), np.array([0, 0, 0, 0, 1]), name="other")

    assert (found.texts, found.accuracy, found.other_accuracy) == (4, 0.5, 0.5)
    assert (found.agreement, found.right_alone, found.other_right_alone) == (0.5, 1, 1)
    assert found.mean_difference == pytest.approx((0.1 + 0.5 + 0.0 + 0.1) / 4)
    assert found.max_difference == pytest.approx(0.5)
    assert found.p_value == 1
    worst = found.most_different[0]
    assert (worst.row, worst.text, worst.label, worst.said, worst.other_said) == (2, "text 2", "a", "a", "b")
    assert {2, 1, 5} == {each.row for each in found.most_different}


def test_labels_may_come_in_another_order(predictions_of: Callable[..., Predictions], tmp_path: Path) -> None:
    mine = predictions_of(np.array([[0.9, 0.1], [0.2, 0.8]]))
    other = replace(mine, labels=("b", "a"), probabilities=mine.probabilities[:, ::-1])

    found = compare(mine, other, _texts(tmp_path, 2), np.array([0, 1]), name="other")

    assert (found.agreement, found.max_difference, found.most_different) == (1, 0, ())


def _written(tmp_path: Path, texts: list[str], labels: str = "ab") -> Predictions:
    file = tmp_path / "other.jsonl"
    scores = {f"predicted_score_{label}": 1 / len(labels) for label in labels}
    fixed = {"predicted_token_count": 3, "predicted_truncated": False, "predicted_error": None}
    file.write_text("".join(json.dumps({"text": text, **scores, **fixed}) + "\n" for text in texts))
    return read_predictions(file)


@pytest.mark.parametrize(
    ("texts", "labels", "problem"),
    [
        (["text 1", "text 9"], "ab", "row 2 holds another text than"),
        (["text 1"], "ab", "other.jsonl ends after row 1"),
        (["text 1", "text 2", "text 3"], "ab", "texts.jsonl ends after row 2"),
        (["text 1", "text 2"], "abc", "expected the labels a, b, found a, b, c"),
    ],
)
def test_predictions_of_other_texts_or_labels_are_refused(
    tmp_path: Path, texts: list[str], labels: str, problem: str
) -> None:
    with pytest.raises(ComparisonError, match=problem):
        require_comparable(_written(tmp_path, texts, labels), _texts(tmp_path, 2), ("a", "b"))


def test_predictions_of_the_same_texts_are_taken(tmp_path: Path) -> None:
    require_comparable(_written(tmp_path, ["text 1", "text 2"]), _texts(tmp_path, 2), ("b", "a"))
