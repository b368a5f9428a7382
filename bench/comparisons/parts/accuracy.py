"""Accuracy of int8 and of its fp32 twin on labelled texts, both served, as `bertriton evaluate` has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bertriton import Client
from bertriton_evaluate import LabelledTexts, Plan, compare, evaluate
from bertriton_server import LocalServer, ServerConfig
from comparisons.checkpoints import NAME
from comparisons.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton_evaluate import Evaluation, Predictions
    from comparisons.checkpoints import Classifier

ALLOWED_LOSS_POINTS = 0.1


def accuracy_figure(
    classifier: Classifier, texts: Sequence[str], labels: Sequence[str], folder: Path
) -> Figure:
    """By how many points int8 is less accurate than fp32.

    Args:
        classifier: in both precisions.
        texts: what to classify.
        labels: what each is, as the classifier names it.
        folder: for the texts and the predictions.
    """
    labelled = write_labelled(texts, labels, folder / "labelled.jsonl")
    found = {
        precision: evaluated(labelled, repository, folder / f"{precision}.jsonl")
        for precision, repository in classifier.precision_to_repository.items()
    }
    (evaluation, int8), (_, fp32) = found["int8"], found["fp32"]
    expected = labelled.labels(tuple(evaluation.metrics.labels))
    comparison = compare(int8, fp32, labelled, expected, name="fp32")
    accuracy, fp32_accuracy = comparison.accuracy * 100, comparison.other_accuracy * 100
    return Figure(
        f"{classifier.title}: accuracy of fp32 above int8 on {comparison.texts:,} labelled texts",
        fp32_accuracy - accuracy,
        "points",
        ALLOWED_LOSS_POINTS,
        is_upper_limit=True,
        detail=f"fp32 {fp32_accuracy:.2f} %; int8 {accuracy:.2f} %; same label {comparison.agreement:.2%}; "
        f"McNemar p = {comparison.p_value:.2g}",
    )


def write_labelled(texts: Sequence[str], labels: Sequence[str], file: Path) -> LabelledTexts:
    """A file of these texts and labels."""
    rows = (json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True))
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return LabelledTexts(file)


def evaluated(labelled: LabelledTexts, repository: Path, output: Path) -> tuple[Evaluation, Predictions]:
    """What `bertriton evaluate` finds on these texts, its predictions kept in a file."""
    server = LocalServer(ServerConfig(repository, stop_grace_s=0))
    with server, Client(server.grpc_url, NAME) as client:
        return evaluate(client, Plan(labelled, output))
