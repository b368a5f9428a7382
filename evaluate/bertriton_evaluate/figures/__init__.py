"""The figures: how right one model is, where it is wrong, and whether two differ by more than chance.

In: `Predictions`. Out: `Metrics`, `WeakSpots` and a `Comparison`.
"""

from bertriton_evaluate.figures.comparison import (
    Comparison,
    compare,
    mcnemar_p_value,
    require_comparable,
    require_same_labels,
)
from bertriton_evaluate.figures.mistakes import (
    CONFIDENT,
    DOUBTFUL,
    Confusion,
    Example,
    MistakesOfLength,
    WeakSpots,
    weak_spots,
)
from bertriton_evaluate.figures.single_label import (
    CALIBRATION_BINS,
    Bin,
    LengthBucket,
    Metrics,
    bucket_name,
    metrics,
)

__all__ = [
    "CALIBRATION_BINS",
    "CONFIDENT",
    "DOUBTFUL",
    "Bin",
    "Comparison",
    "Confusion",
    "Example",
    "LengthBucket",
    "Metrics",
    "MistakesOfLength",
    "WeakSpots",
    "bucket_name",
    "compare",
    "mcnemar_p_value",
    "metrics",
    "require_comparable",
    "require_same_labels",
    "weak_spots",
]
