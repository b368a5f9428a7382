"""What can be wrong with an evaluation, beside what can be wrong with the server and the files.

BertritonError                  of the client: the server does not answer, the file cannot be read
└── EvaluationError             root of this package's own
    ├── LabelError              the column of labels does not go with the model's
    ├── UnsupportedModelError   the model gives no single label
    ├── UnfinishedError         it ended before the last text; what was finished is kept (.kept)
    ├── ServingError            the checkpoint cannot be exported or served
    ├── ComparisonError         two sets of predictions are not of the same texts and labels
    └── ReportError             a report or a model card cannot be written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton import BertritonError

if TYPE_CHECKING:
    from pathlib import Path


class EvaluationError(BertritonError):
    """Root of every error of this package's own."""


class LabelError(EvaluationError):
    """The column of labels is missing, or holds what is no label of the model."""


class UnsupportedModelError(EvaluationError):
    """The model gives several labels, or numbers, where this package measures single labels."""


class UnfinishedError(EvaluationError):
    """The evaluation ended before the last text.

    Attributes:
        kept: the folder of the finished part, which the same evaluation takes up.
    """

    retryable = True

    def __init__(self, problem: str, kept: Path) -> None:
        super().__init__(
            f"{problem}; what is finished is kept in {kept}: the same command goes on from there"
        )
        self.kept = kept


class ServingError(EvaluationError):
    """A checkpoint cannot be exported, or its export not be served."""


class ComparisonError(EvaluationError):
    """Two sets of predictions are not of the same texts and the same labels."""


class ReportError(EvaluationError):
    """A report or a model card cannot be written."""
