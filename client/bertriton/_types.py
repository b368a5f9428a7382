"""What a call takes and gives back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bertriton.contract import SINGLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bertriton.contract import ClassifierInfo

Text: TypeAlias = str | tuple[str, str]
"""One input: a text, or a pair of texts for models that compare two."""

Truncation: TypeAlias = Literal["head", "tail", "head_tail", "error", "windows"]
"""Which part of a text over the limit is read: its start, its end, both ends, none (the text is refused), or
all of it, in windows whose scores are joined to one answer."""

Aggregation: TypeAlias = Literal["mean", "max"]
"""How the scores of windows become a text's: averaged, or each label's largest."""


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer for one text.

    Example:
        >>> Classification("pos", 0.98, {"neg": 0.02, "pos": 0.98}, (-2.0, 1.9), 12, truncated=False)
        Classification('pos', 0.9800, token_count=12)
    """

    label: str  # the most probable label
    score: float  # its probability, 0 to 1; the predicted value for a regression model
    scores: Mapping[str, float] = field(
        hash=False
    )  # label -> probability, in the model's order or the top_k best
    logits: tuple[float, ...]  # what the network gave, in the model's order of labels
    token_count: int  # tokens of the whole text, special tokens included, before truncation
    truncated: bool  # whether the model saw only a part of the text
    labels: tuple[str, ...] = ()  # the label; for a multi-label model all labels at or over its threshold
    value: float | None = None  # the prediction of a regression model with one output
    windows: int = 1  # parts that the text was read in
    fingerprint: str = ""  # which model answered: its `ClassifierInfo.fingerprint`
    problem_type: str = SINGLE_LABEL  # how it is to be read: as that of this `ClassifierInfo` says

    def __repr__(self) -> str:
        truncated = ", truncated" if self.truncated else ""
        answer = f"{self.label!r}, {self.score:.4f}"
        if self.value is not None:
            answer = f"value={self.value:.4f}"
        elif len(self.labels) > 1:
            answer = f"labels={self.labels}"
        return f"Classification({answer}, token_count={self.token_count}{truncated})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain dict, list and numbers, ready for JSON."""
        return asdict(self) | {"logits": list(self.logits), "labels": list(self.labels)}


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document that `rerank` sorted.

    Example:
        >>> RankedDocument(3, 0.98, "Paris is the capital of France.", 3.9, 18, truncated=False)
        RankedDocument(3, 0.9800, 'Paris is the capital of France.')
    """

    index: int  # its place in the list that was given, from 0
    score: float  # the sigmoid of the logit, 0 to 1
    document: str  # the text that was given
    logit: float  # what the network gave
    token_count: int  # of query and document, special tokens included, before truncation
    truncated: bool  # whether the model saw only a part of them
    windows: int = 1  # parts that they were read in
    fingerprint: str = ""  # which model answered

    def __repr__(self) -> str:
        truncated = ", truncated" if self.truncated else ""
        return f"RankedDocument({self.index}, {self.score:.4f}, {self.document!r}{truncated})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ServedClassifier:
    """One classifier of a server, as `Client.models` lists it."""

    info: ClassifierInfo | None  # labels and limits; None while the model cannot tell them
    name: str  # what requests are sent to
    versions: tuple[str, ...]  # versions that answer now, oldest first
    ready: bool  # whether at least one version answers
    reason: str  # Triton's reason if no version answers, else empty
