"""How long the table of a model card takes: `bertriton evaluate` against the Hugging Face pipeline.

Both get the same labelled texts. The pipeline has them as a list, in the best of its dtypes and batch sizes;
its time is that of the predictions alone. Ours includes reading the file and writing the predictions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from comparisons.contenders import HUGGING_FACE
from comparisons.figures import Figure
from comparisons.parts.accuracy import evaluated, write_labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from comparisons.checkpoints import Classifier
    from comparisons.contenders import Environments

TEXTS = "evaluated"  # the set's name


def evaluation_figure(
    classifier: Classifier,
    texts: Sequence[str],
    labels: Sequence[str],
    environments: Environments,
    folder: Path,
) -> Figure:
    """How many times as fast the table is there.

    Args:
        classifier: in int8.
        texts: what to classify.
        labels: what each is, as the classifier names it.
        environments: where the pipeline runs.
        folder: for the texts and the predictions.
    """
    labelled = write_labelled(texts, labels, folder / "evaluated.jsonl")
    repository = classifier.precision_to_repository["int8"]
    speed = evaluated(labelled, repository, folder / "evaluated-predictions.jsonl")[0].speed
    if speed is None:
        raise SystemExit("no text was answered")
    texts_file = folder / "evaluated-texts.json"
    texts_file.write_text(json.dumps({TEXTS: texts}), encoding="utf-8")
    with environments.start(HUGGING_FACE, classifier.checkpoint, texts_file) as pipeline:
        seconds, setting = pipeline.best_seconds(TEXTS)
    ours, theirs = (
        f"{speed.seconds:.1f} s (bertriton evaluate, int8)",
        f"{seconds:.1f} s (pipeline, {setting})",
    )
    return Figure(
        f"{classifier.title}: evaluation of {speed.texts:,} texts against the best Hugging Face pipeline",
        seconds / speed.seconds,
        "x",
        detail=f"{ours}; {theirs}",
    )
