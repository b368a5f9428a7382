"""What a Python worker does with a partition: texts in, scored sentences out, in their order.

In: a `Plan`, which is all that a worker is told, and batches of rows. Out: frames of the type `SCORED_TYPE`.
A worker makes its client itself, and keeps it for its next partitions.
"""

from bertriton_spark.execution.clients import client_of, connection_of, spread_address
from bertriton_spark.execution.plan import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_TIMEOUT_S,
    LocalModel,
    Plan,
    Reading,
)
from bertriton_spark.execution.rows import SCORED_TYPE, scored_rows, scoring_function
from bertriton_spark.execution.scoring import ScoredSentence, Scoring

__all__ = [
    "DEFAULT_IN_FLIGHT",
    "DEFAULT_TIMEOUT_S",
    "SCORED_TYPE",
    "LocalModel",
    "Plan",
    "Reading",
    "ScoredSentence",
    "Scoring",
    "client_of",
    "connection_of",
    "scored_rows",
    "scoring_function",
    "spread_address",
]
