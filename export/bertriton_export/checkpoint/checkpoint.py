"""A checkpoint in memory, checked once, whatever format it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bertriton import contract
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.dimensions import BertConfig
    from bertriton_export.checkpoint.weights import Weights


@dataclass(frozen=True)
class Checkpoint:
    """Everything a classifier is made of."""

    path: Path
    config: BertConfig
    weights: Weights
    tokenizer_json: str  # Hugging Face tokenizers' own format, without truncation and padding
    labels: tuple[str, ...]  # in the order of the logits
    problem_type: str  # one of HEADS
    max_length: int  # tokens read of one text, special tokens included
    sha256: str  # of the weight files
    threshold: float = contract.DEFAULT_THRESHOLD  # probability from which a label counts, for multi-label
    source: Mapping[str, Any] = field(default_factory=dict)  # the format and what only it knows; JSON values

    def __post_init__(self) -> None:
        """Refuse labels that do not fit the classifier's head."""
        if len(self.labels) != self.config.num_labels:
            raise CheckpointError(
                self.path,
                f"{len(self.labels)} labels {list(self.labels)} for a classifier of {self.config.num_labels}",
            )
        if len(set(self.labels)) != len(self.labels) or not all(map(_is_one_line, self.labels)):
            raise CheckpointError(self.path, f"labels must be distinct, non-empty lines: {list(self.labels)}")


def _is_one_line(label: str) -> bool:
    return bool(label.strip()) and label.splitlines() == [label]
