"""The texts to read first are those that the answers say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bertriton_evaluate import LabelledTexts, weak_spots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_evaluate import Predictions

NO_ANSWER = [np.nan] * 3
PROBABILITIES = np.array(
    [
        [0.95, 0.03, 0.02],  # 1: b, taken for a with confidence
        [0.70, 0.20, 0.10],  # 2: a, right
        NO_ANSWER,  # 3
        [0.48, 0.46, 0.06],  # 4: b, taken for a in doubt
        [0.10, 0.12, 0.78],  # 5: a, taken for c
        [0.02, 0.48, 0.50],  # 6: c, right in doubt
    ]
)
EXPECTED = np.array([1, 0, 0, 1, 0, 2])


@pytest.fixture
def texts(tmp_path: Path) -> LabelledTexts:
    rows = [{"text": f"text {row}", "other": f"pair {row}"} for row in range(1, 7)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return LabelledTexts(tmp_path / "texts.jsonl")


def test_mistakes_and_doubts_are_counted_ranked_and_shown(
    predictions_of: Callable[..., Predictions], texts: LabelledTexts
) -> None:
    predictions = predictions_of(PROBABILITIES, [10, 70, 0, 10, 2000, 65], truncated=1)

    found = weak_spots(predictions, texts, EXPECTED)

    assert (found.mistakes, found.confident_mistakes, found.doubtful) == (3, 1, 2)
    assert (found.truncated, found.truncated_mistakes) == (1, 1)
    assert [each.row for each in found.most_confident_mistakes] == [1, 5, 4]
    assert [each.row for each in found.most_doubtful] == [4, 6, 2, 5, 1]
    first = found.most_confident_mistakes[0]
    assert (first.text, first.pair, first.label, first.said) == ("text 1", None, "b", "a")
    assert (first.confidence, first.label_probability) == (0.95, 0.03)
    assert (first.margin, first.token_count, first.truncated) == (pytest.approx(0.92), 10, True)
    by_label = [(each.label, each.said, each.mistakes, each.share) for each in found.by_label]
    assert by_label == [("b", "a", 2, 1.0), ("a", "c", 1, 0.5)]
    assert [each.row for each in found.by_label[0].examples] == [1, 4]
    by_length = [(each.shortest, each.longest, each.texts, each.mistakes) for each in found.by_length]
    assert by_length == [(1, 64, 2, 2), (65, 128, 2, 0), (1025, None, 1, 1)]
    assert [each.row for each in found.by_length[2].examples] == [5]


def test_pairs_are_shown_as_pairs(predictions_of: Callable[..., Predictions], texts: LabelledTexts) -> None:
    pairs = LabelledTexts(texts.file, pair_column="other")

    found = weak_spots(predictions_of(PROBABILITIES), pairs, EXPECTED)

    assert [each.pair for each in found.most_confident_mistakes] == ["pair 1", "pair 5", "pair 4"]


def test_who_is_never_wrong_has_no_mistakes(
    predictions_of: Callable[..., Predictions], texts: LabelledTexts
) -> None:
    found = weak_spots(predictions_of(PROBABILITIES[:2]), texts, np.array([0, 0]))

    assert (found.mistakes, found.most_confident_mistakes, found.by_label) == (0, (), ())
    assert [each.mistakes for each in found.by_length] == [0]


def test_lists_keep_their_length(
    random_answers: tuple[Predictions, NDArray[np.intp]], tmp_path: Path
) -> None:
    predictions, expected = random_answers
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "a"}\n' * len(expected))

    found = weak_spots(predictions, LabelledTexts(file), expected)

    assert (len(found.most_confident_mistakes), len(found.most_doubtful)) == (20, 20)
    assert sum(each.mistakes for each in found.by_label) == found.mistakes
    assert sum(each.mistakes for each in found.by_length) == found.mistakes
    assert {len(each.examples) for each in found.by_label} <= {1, 2, 3}
