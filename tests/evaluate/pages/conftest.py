"""One whole evaluation, of texts that look like HTML, and its page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bertriton_evaluate import Evaluation, LabelledTexts, compare, to_html, weak_spots
from bertriton_evaluate.figures import metrics

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from bertriton_evaluate import Predictions


@pytest.fixture
def evaluation(random_answers: tuple[Predictions, NDArray[np.intp]], tmp_path: Path) -> Evaluation:
    predictions, expected = random_answers
    file = tmp_path / "<texts>.csv"
    file.write_text("text\n" + "".join(f"<script>{row}</script> $a$\n" for row in range(len(expected))))
    other = metrics(predictions, expected)
    flipped = replace(predictions, probabilities=predictions.probabilities[::-1])
    comparison = compare(predictions, flipped, LabelledTexts(file), expected, name="other & old")
    spots = weak_spots(predictions, LabelledTexts(file), expected)
    return Evaluation("imdb", "0" * 64, file.name, "1" * 64, {}, other, spots, 0, None, None, comparison)


@pytest.fixture
def html(evaluation: Evaluation) -> str:
    return to_html(evaluation)
