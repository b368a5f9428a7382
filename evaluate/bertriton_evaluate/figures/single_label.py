"""How right a classifier is, and how well it knows it: figures of single-label predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.metrics import classification_report, confusion_matrix, precision_recall_fscore_support

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bertriton_evaluate.texts import Predictions

CALIBRATION_BINS: Final = 15
LENGTH_BOUNDS: Final = (64, 128, 256, 512, 1024)  # tokens, each bound the last of its bucket
REPORT_DIGITS: Final = 4


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of one label, or their average over the labels."""

    precision: float
    recall: float
    f1: float
    support: int  # texts with that label


@dataclass(frozen=True)
class Bin:
    """The texts whose confidence is over `lower` and not over `upper`."""

    lower: float
    upper: float
    texts: int
    confidence: float | None  # on average; None where there are no texts
    accuracy: float | None


def bucket_name(shortest: int, longest: int | None) -> str:
    """As `65-128`, or `over 1024`."""
    return f"over {shortest - 1}" if longest is None else f"{shortest}-{longest}"


@dataclass(frozen=True)
class LengthBucket:
    """The texts of so many tokens, before truncation."""

    shortest: int
    longest: int | None  # None: no bound
    texts: int
    accuracy: float | None  # None where there are no texts

    @property
    def name(self) -> str:
        """As `65-128`, or `over 1024`."""
        return bucket_name(self.shortest, self.longest)


@dataclass(frozen=True)
class Metrics:
    """Every figure of one set of predictions; texts without an answer are in none of them."""

    texts: int  # texts that were answered
    accuracy: float  # share of them that are right, 0 to 1
    labels: dict[str, Scores]  # precision, recall and F1 by label
    macro_average: Scores  # every label counts alike
    weighted_average: Scores  # every text counts alike
    confusion: tuple[tuple[int, ...], ...]  # texts, as `confusion[truth][prediction]`
    calibration_error: float  # expected calibration error, 0 to 1
    bins: tuple[Bin, ...]  # accuracy by probability
    lengths: tuple[LengthBucket, ...]  # accuracy by number of tokens
    truncated_share: float  # share of texts of which a part was not read
    table: str  # precision, recall, F1 and support as scikit-learn's classification_report lays them out


def metrics(predictions: Predictions, expected: NDArray[np.intp]) -> Metrics:
    """All figures at once.

    Args:
        predictions: of R texts, at least one of them with an answer.
        expected: what each text is, (R), places among the labels.

    Example:
        >>> metrics(read_predictions(Path("out.jsonl")), expected).accuracy
        0.9224
    """
    answered = predictions.answered
    expected, decisions = expected[answered], predictions.decisions[answered]
    is_right = decisions == expected
    labels = predictions.labels
    places = range(len(labels))
    # Where a label was never said, or never was right, the share of nothing counts as 0.
    settings = {"labels": places, "zero_division": 0}
    per_label = precision_recall_fscore_support(expected, decisions, **settings)
    bins = calibration_bins(predictions.probabilities[answered].max(axis=1), is_right)
    return Metrics(
        texts=len(expected),
        accuracy=float(is_right.mean()),
        labels=dict(zip(labels, map(_scores, zip(*per_label, strict=True)), strict=True)),
        macro_average=_average(expected, decisions, "macro", settings),
        weighted_average=_average(expected, decisions, "weighted", settings),
        confusion=tuple(map(tuple, confusion_matrix(expected, decisions, labels=places).tolist())),
        calibration_error=calibration_error(bins),
        bins=bins,
        lengths=tuple(_lengths(predictions.token_counts[answered], is_right)),
        truncated_share=float(predictions.truncated[answered].mean()),
        table=classification_report(
            expected, decisions, target_names=labels, digits=REPORT_DIGITS, **settings
        ).rstrip(),
    )


def _scores(values: tuple[float, float, float, int]) -> Scores:
    precision, recall, f1, support = values
    return Scores(float(precision), float(recall), float(f1), int(support))


def _average(
    expected: NDArray[np.intp], decisions: NDArray[np.intp], kind: str, settings: dict[str, object]
) -> Scores:
    averages = precision_recall_fscore_support(expected, decisions, average=kind, **settings)
    return _scores((*averages[:3], len(expected)))


def calibration_bins(confidences: NDArray[np.float64], is_right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """The texts by confidence, the probability of the label that was said, in bins of equal width.

    Bins are open below and closed above, as in Guo et al. 2017, section 2.
    """
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    places = np.digitize(confidences, edges[1:-1], right=True)
    return tuple(
        Bin(
            lower=float(edges[place]),
            upper=float(edges[place + 1]),
            texts=int((places == place).sum()),
            confidence=_mean(confidences[places == place]),
            accuracy=_mean(is_right[places == place]),
        )
        for place in range(CALIBRATION_BINS)
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: |accuracy - confidence| of the bins, each by its share of the texts.

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, equation 3,
    https://arxiv.org/abs/1706.04599.
    """
    texts = sum(each.texts for each in bins)
    return sum(
        each.texts / texts * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    )


def _lengths(token_counts: NDArray[np.intp], is_right: NDArray[np.bool_]) -> Iterator[LengthBucket]:
    places = np.digitize(token_counts, LENGTH_BOUNDS, right=True)
    for place, (below, longest) in enumerate(zip((0, *LENGTH_BOUNDS), (*LENGTH_BOUNDS, None), strict=True)):
        inside = is_right[places == place]
        yield LengthBucket(below + 1, longest, len(inside), _mean(inside))


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
