"""A checkpoint in memory, checked once, whatever format it was read from."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton import contract
from bertriton_export.checkpoint.settings import is_text, short
from bertriton_export.checkpoint.truncation import TruncationDefaults
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint.dimensions import BertConfig
    from bertriton_export.checkpoint.weights import Weights


MAX_LABEL_CHARACTERS: Final = 1000


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
    truncation: TruncationDefaults = field(default_factory=TruncationDefaults)
    tokenization: str = contract.DEFAULT_TOKENIZATION  # that tokenizer_json follows, one of TOKENIZATIONS
    model_type: str = "bert"  # the family
    source: Mapping[str, Any] = field(default_factory=dict)  # the format and what only it knows; JSON values

    def __post_init__(self) -> None:
        """Refuse labels that do not fit the classifier's head."""
        if len(self.labels) != self.config.num_labels:
            raise CheckpointError(
                self.path,
                f"{len(self.labels)} labels {short(list(self.labels))} "
                f"for a classifier of {self.config.num_labels}",
            )
        if len(set(self.labels)) != len(self.labels) or not all(map(_is_one_line, self.labels)):
            wrong = [label for label in self.labels if not _is_one_line(label)]
            raise CheckpointError(
                self.path,
                f"labels must be distinct, non-empty lines of text, of at most {MAX_LABEL_CHARACTERS} "
                f"characters and none that controls a terminal: {short(wrong or list(self.labels))}",
            )


def _is_one_line(label: str) -> bool:
    is_plain = is_text(label) and not any(unicodedata.category(character) == "Cc" for character in label)
    is_short = len(label) <= MAX_LABEL_CHARACTERS
    return is_plain and is_short and bool(label.strip()) and label.splitlines() == [label]
