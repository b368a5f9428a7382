"""The texts: their right labels, and what a model said of them.

In: files. Out: `LabelledTexts` and `Predictions`, checked against each other.
"""

from bertriton_evaluate.texts.labelled import (
    DEFAULT_LABEL_COLUMN,
    DEFAULT_TEXT_COLUMN,
    LabelledTexts,
    cells_of_rows,
    column_of,
)
from bertriton_evaluate.texts.predictions import Predictions, read_predictions, require_no_predictions

__all__ = [
    "DEFAULT_LABEL_COLUMN",
    "DEFAULT_TEXT_COLUMN",
    "LabelledTexts",
    "Predictions",
    "cells_of_rows",
    "column_of",
    "read_predictions",
    "require_no_predictions",
]
