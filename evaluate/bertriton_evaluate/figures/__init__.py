"""The figures: how right one model is, and whether two differ by more than chance.

In: `Predictions`. Out: `Metrics` and a `Comparison`.
"""

from bertriton_evaluate.figures.comparison import (
    Comparison,
    compare,
    mcnemar_p_value,
    require_comparable,
    require_same_labels,
)
from bertriton_evaluate.figures.single_label import CALIBRATION_BINS, Bin, LengthBucket, Metrics, metrics

__all__ = [
    "CALIBRATION_BINS",
    "Bin",
    "Comparison",
    "LengthBucket",
    "Metrics",
    "compare",
    "mcnemar_p_value",
    "metrics",
    "require_comparable",
    "require_same_labels",
]
