"""Predictions are read back as they were written, with the rows that have no answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bertriton._files import FileFormatError
from bertriton_evaluate import read_predictions
from bertriton_evaluate.texts import require_no_predictions

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"text": "a", "predicted_score_neg": 0.25, "predicted_score_pos": 0.75, "predicted_token_count": 3},
    {"text": "b", "predicted_score_neg": None, "predicted_score_pos": None, "predicted_token_count": None},
    {"text": "c", "predicted_score_neg": 0.5, "predicted_score_pos": 0.5, "predicted_token_count": 900},
]
TRUNCATED = [False, None, True]
ERRORS = [None, "it is not text", None]


def written(tmp_path: Path, suffix: str) -> Path:
    rows = [
        row | {"predicted_truncated": truncated, "predicted_error": error}
        for row, truncated, error in zip(ROWS, TRUNCATED, ERRORS, strict=True)
    ]
    file = tmp_path / f"out{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        # As Python's csv module writes them: True and False are words, None is nothing.
        lines = [rows[0].keys(), *(("" if cell is None else cell for cell in row.values()) for row in rows)]
        file.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return file


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_answers_and_failures_are_read_back(tmp_path: Path, suffix: str) -> None:
    found = read_predictions(written(tmp_path, suffix))

    assert found.labels == ("neg", "pos")
    np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75], [np.nan, np.nan], [0.5, 0.5]])
    assert found.token_counts.tolist() == [3, 0, 900]
    assert found.truncated.tolist() == [False, False, True]
    assert found.errors == {1: "it is not text"}
    assert found.answered.tolist() == [True, False, True]


def test_a_decision_is_the_most_probable_label_and_of_equals_the_first(tmp_path: Path) -> None:
    assert read_predictions(written(tmp_path, ".jsonl")).decisions.tolist() == [1, 0, 0]


def test_a_file_that_holds_predictions_is_no_file_of_texts(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="holds predictions already"):
        require_no_predictions(written(tmp_path, ".csv"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text\na\n", "it has no column 'predicted_token_count', only text"),
        (
            "predicted_token_count,predicted_truncated,predicted_error\n1,False,\n",
            "no column predicted_score_LABEL",
        ),
        (
            "predicted_token_count,predicted_truncated,predicted_error,predicted_score_a\n1,False,,much\n",
            "could not convert string to float: 'much'",
        ),
        ("predicted_token_count,predicted_truncated,predicted_error,predicted_score_a\n", "holds no rows"),
    ],
)
def test_what_is_no_file_of_predictions_is_said(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "out.csv").write_text(content)

    with pytest.raises(FileFormatError, match=problem):
        read_predictions(tmp_path / "out.csv")
