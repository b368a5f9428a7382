"""The classifiers that are measured: the embedded one, and one of BERT-base's shape with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertriton_export import export
from comparisons.checkpoints.random_weights import BERT_BASE, EMBEDDED, make_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

NAME = "classifier"
PRECISIONS = ("int8", "fp32")


@dataclass(frozen=True)
class Classifier:
    """One checkpoint, exported in every precision."""

    title: str
    checkpoint: Path
    precision_to_repository: dict[str, Path]


def minilm(folder: Path) -> Classifier:
    """The embedded film-review classifier: 6 layers of 384."""
    repositories = {precision: folder / f"minilm-{precision}" for precision in PRECISIONS}
    for precision, repository in repositories.items():
        export(EMBEDDED, name=NAME, repository=repository, precision=precision)
    return Classifier("MiniLM", EMBEDDED, repositories)


def bert_base(folder: Path) -> Classifier:
    """BERT-base's shape: 12 layers of 768."""
    checkpoint = folder / "base"
    make_checkpoint(checkpoint, BERT_BASE)
    repositories = {precision: folder / f"base-{precision}" for precision in PRECISIONS}
    for precision, repository in repositories.items():
        # Random weights decide nothing, so there is nothing for int8 to agree with.
        is_gated = precision != "int8"
        export(checkpoint, name=NAME, repository=repository, precision=precision, gate=is_gated)
    return Classifier("BERT-base shape", checkpoint, repositories)
