"""Accuracy of the int8 graph and of its fp32 twin on labelled texts, in process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from classifiers import NAME
from figures import Figure
from in_process import InProcess, by_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from classifiers import Classifier

ALLOWED_LOSS_POINTS = 0.2


def accuracy_figure(
    classifier: Classifier, texts: Sequence[str], labels: Sequence[str], names: Sequence[str]
) -> Figure:
    """By how many points int8 is less accurate than fp32.

    Args:
        classifier: in both precisions.
        texts: what to classify.
        labels: what each is, one of `names`.
        names: the classifier's labels in the order of its logits.
    """
    expected = np.array([names.index(label) for label in labels])
    decisions = {
        precision: _decisions(repository, texts)
        for precision, repository in classifier.precision_to_repository.items()
    }
    percent = {
        precision: float((decided == expected).mean() * 100) for precision, decided in decisions.items()
    }
    agreement = float((decisions["int8"] == decisions["fp32"]).mean())
    return Figure(
        f"{classifier.title}: accuracy of fp32 above int8 on {len(texts):,} labelled texts",
        percent["fp32"] - percent["int8"],
        "points",
        ALLOWED_LOSS_POINTS,
        is_upper_limit=True,
        detail=f"fp32 {percent['fp32']:.2f} %; int8 {percent['int8']:.2f} %; same label {agreement:.2%}",
    )


def _decisions(repository: Path, texts: Sequence[str]) -> np.ndarray:
    model = InProcess(repository, NAME)
    batches = by_tokens(model.encode(texts))
    return np.concatenate([model.probabilities(batch).argmax(axis=-1) for batch in batches])
