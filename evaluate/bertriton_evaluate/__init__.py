"""How accurate a served classifier is: a labelled file through the real server, and one report."""

from bertriton_evaluate.errors import (
    ComparisonError,
    EvaluationError,
    LabelError,
    ReportError,
    ServingError,
    UnfinishedError,
    UnsupportedModelError,
)
from bertriton_evaluate.evaluation import Evaluation, Plan, Speed, evaluate, predict
from bertriton_evaluate.figures import (
    Comparison,
    Metrics,
    WeakSpots,
    compare,
    mcnemar_p_value,
    metrics,
    require_comparable,
    weak_spots,
)
from bertriton_evaluate.pages import to_html, update_card
from bertriton_evaluate.serving import served_checkpoint
from bertriton_evaluate.texts import LabelledTexts, Predictions, read_predictions

__all__ = [
    "Comparison",
    "ComparisonError",
    "Evaluation",
    "EvaluationError",
    "LabelError",
    "LabelledTexts",
    "Metrics",
    "Plan",
    "Predictions",
    "ReportError",
    "ServingError",
    "Speed",
    "UnfinishedError",
    "UnsupportedModelError",
    "WeakSpots",
    "compare",
    "evaluate",
    "mcnemar_p_value",
    "metrics",
    "predict",
    "read_predictions",
    "require_comparable",
    "served_checkpoint",
    "to_html",
    "update_card",
    "weak_spots",
]
