"""What a classifier's logits mean: one entry a kind of answer, chosen by the checkpoint or per export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bertriton import contract
from bertriton_export.checkpoint.settings import short
from bertriton_export.errors import OptionError, UnsupportedModelError

if TYPE_CHECKING:
    from bertriton_export.checkpoint.checkpoint import Checkpoint


@dataclass(frozen=True)
class Head:
    """One kind of answer."""

    operator: str  # of ONNX, from logits to what is served as `probabilities`
    scores: str  # what those are
    answer: str  # the fields of a `Classification` that tell it


# Problem type, as Transformers' configuration calls it -> what becomes of the logits.
HEADS: Final = {
    contract.SINGLE_LABEL: Head("Softmax", "probabilities that add up to 1", "`label`"),
    contract.MULTI_LABEL: Head("Sigmoid", "a probability of each label by itself", "`labels`"),
    contract.REGRESSION: Head("Identity", "the logits themselves", "`value`"),
}


def default_problem_type(num_labels: int) -> str:
    """What Transformers trains a model for whose configuration names no problem type."""
    return contract.REGRESSION if num_labels == 1 else contract.SINGLE_LABEL


def with_head(
    checkpoint: Checkpoint, problem_type: str | None = None, threshold: float | None = None
) -> Checkpoint:
    """The checkpoint with the head it is served with.

    Args:
        checkpoint: as it was read.
        problem_type: to use instead of the checkpoint's, one of `HEADS`; the sigmoid of a single logit is
            multi_label_classification.
        threshold: probability from which a label counts, for multi_label_classification.

    Raises:
        UnsupportedModelError: the checkpoint's own problem type is unknown or does not fit its logits.
        OptionError: an option is unknown, or does not fit the logits or the other.
    """
    served = replace(checkpoint, problem_type=problem_type or checkpoint.problem_type)
    error = OptionError if problem_type else UnsupportedModelError
    if served.problem_type not in HEADS:
        raise error(
            f"{checkpoint.path}: problem_type {short(served.problem_type)}, "
            f"expected one of {', '.join(HEADS)}"
        )
    if served.problem_type == contract.SINGLE_LABEL and len(served.labels) == 1:
        raise error(
            f"{checkpoint.path}: problem_type {contract.SINGLE_LABEL} with one logit, whose softmax is "
            f"always 1: export it as {contract.REGRESSION} or, for its sigmoid, as {contract.MULTI_LABEL}"
        )
    if threshold is None:
        return served
    if served.problem_type != contract.MULTI_LABEL:
        raise OptionError(
            f"threshold is about {contract.MULTI_LABEL}, and the problem type is {served.problem_type}"
        )
    if not 0 < threshold < 1:
        raise OptionError(f"threshold {threshold}: expected a probability between 0 and 1")
    return replace(served, threshold=threshold)
