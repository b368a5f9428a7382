"""How accurate a served classifier is: a labelled file through the real server, and one report."""

from bertriton_evaluate.card import update_card
from bertriton_evaluate.comparison import Comparison, compare, mcnemar_p_value, require_comparable
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
from bertriton_evaluate.html import to_html
from bertriton_evaluate.labelled import LabelledTexts
from bertriton_evaluate.metrics import Metrics, metrics
from bertriton_evaluate.predictions import Predictions, read_predictions
from bertriton_evaluate.serving import served_checkpoint

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
]
