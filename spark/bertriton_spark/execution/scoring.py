"""From a classifier's answers to what Spark NLP says of a row: labels, their sentences and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton import ModelNotReadyError
from bertriton.contract import MULTI_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bertriton import Classification

SOFTMAX: Final = "softmax"
SIGMOID: Final = "sigmoid"
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True)
class Scoring:
    """How logits become annotations."""

    activation: str | None = None  # SOFTMAX or SIGMOID; None: what the model was made for
    threshold: float = DEFAULT_THRESHOLD  # with SIGMOID, labels above it count
    coalesce: bool = False  # whether a row's sentences are averaged to one
    some_keys: bool = False  # whether scores stand under `Some(label)`, as Spark NLP wrote until 4.2.8


@dataclass(frozen=True)
class ScoredSentence:
    """One annotation without what Spark knows itself."""

    sentence: int  # place in the row's documents
    result: str
    scores: dict[str, float]  # key -> score, in the order of the logits


def annotated(answers: Sequence[Classification | None], scoring: Scoring) -> list[ScoredSentence]:
    """What is said of one row.

    Args:
        answers: of its sentences, in their order; None of a sentence without a token.
        scoring: how.

    Raises:
        ModelNotReadyError: sentences that are to be averaged were answered by several models.
    """
    scored = [
        (place, answer, _scores(answer, scoring.activation))
        for place, answer in enumerate(answers)
        if answer is not None
    ]
    if scoring.coalesce and scored:
        _require_one_model([answer for _, answer, _ in scored])
        place, first, _ = scored[0]
        scored = [(place, first, _mean([scores for _, _, scores in scored]))]
    return [
        ScoredSentence(place, labels[index], _by_key(labels, scores, some_keys=scoring.some_keys))
        for place, answer, scores in scored
        for labels in [tuple(answer.scores)]
        for index in _counting(scores, scoring.threshold, is_sigmoid=_is_sigmoid(answer, scoring))
    ]


def _require_one_model(answers: Sequence[Classification]) -> None:
    found = sorted({answer.fingerprint for answer in answers})
    if len(found) > 1:
        raise ModelNotReadyError(
            f"the model is being replaced: the sentences of a row were answered by the exports "
            f"{' and '.join(found)}; if it stays so, replicas differ: serve one export on all of them"
        )


def _is_sigmoid(answer: Classification, scoring: Scoring) -> bool:
    if scoring.activation is None:
        return answer.problem_type == MULTI_LABEL
    return scoring.activation == SIGMOID


def _scores(answer: Classification, activation: str | None) -> NDArray[np.float32]:
    """In 32 bits, as Spark NLP has them: which is the best, or above a threshold, may hang on the last."""
    if activation is None:
        return np.array(list(answer.scores.values()), dtype=np.float32)
    logits = np.array(answer.logits)
    if activation == SIGMOID:
        return np.asarray(np.exp(-np.logaddexp(0.0, -logits)), dtype=np.float32)
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), dtype=np.float32)


def _mean(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Added one after the other, likewise."""
    total = np.zeros_like(scores[0])
    for one in scores:
        total += one
    return np.asarray(total / np.float32(len(scores)))


def _counting(scores: NDArray[np.float32], threshold: float, *, is_sigmoid: bool) -> list[int]:
    """The labels that an annotation is made of: the first of the best, or all above the threshold."""
    if is_sigmoid:
        return np.flatnonzero(scores > np.float32(threshold)).tolist()
    return [int(scores.argmax())]


def _by_key(labels: Sequence[str], scores: NDArray[np.float32], *, some_keys: bool) -> dict[str, float]:
    keys = [f"Some({label})" for label in labels] if some_keys else labels
    return dict(zip(keys, scores.tolist(), strict=True))
