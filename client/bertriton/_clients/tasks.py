"""What a call makes of its texts: rows for the network, and an answer from what the network says of them.

Classifying sends a text as it is. Zero-shot classification asks a model of natural language inference whether
the text entails a hypothesis about each candidate label, as the pipeline of Transformers does (Yin et al.
2019, Benchmarking Zero-shot Text Classification, https://arxiv.org/abs/1909.00161). Reranking asks a model of
one logit how well each document answers a query, as the CrossEncoder of sentence-transformers does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from bertriton._errors import BertritonError, InvalidOptionError, ModelNotReadyError
from bertriton._types import Classification, RankedDocument
from bertriton.contract import DEFAULT_THRESHOLD, MULTI_LABEL, SINGLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bertriton._clients.batches import Outcome
    from bertriton.contract import ClassifierInfo

DEFAULT_HYPOTHESIS_TEMPLATE: Final = "This example is {}."  # that of Transformers
CANDIDATE_PLACE: Final = "{}"  # where a template has its candidate label
_ENTAILMENT: Final = "entail"  # begins the label of a text that entails its hypothesis, in either case


class Task:
    """Classification: a row a text, answered by what the model says of it."""

    name: ClassVar[str] = "classify"  # of a call that does it, in traces
    expands: ClassVar[bool] = False  # whether `rows` gives others than the text itself
    is_one_answer: ClassVar[bool] = False  # whether all texts of a call make one answer together
    rows_per_text = 1

    def require(self, info: ClassifierInfo) -> None:
        """See that the model can do it.

        Raises:
            InvalidOptionError: it cannot.
        """

    def rows(self, text: object) -> Sequence[object]:
        """What is sent for a text."""
        return (text,)

    def answer(self, outcomes: Sequence[Outcome]) -> Outcome:
        """The outcome of a text from those of its rows."""
        return outcomes[0]


@dataclass(frozen=True)
class ZeroShot(Task):
    """Whether a text entails a hypothesis about each candidate label: a pair for each."""

    candidate_labels: tuple[str, ...]
    hypothesis_template: str = DEFAULT_HYPOTHESIS_TEMPLATE
    multi_label: bool = False  # whether each candidate has a probability by itself
    name: ClassVar[str] = "zero_shot"
    expands: ClassVar[bool] = True

    def __post_init__(self) -> None:
        labels = self.candidate_labels
        if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
            raise InvalidOptionError(f"candidate_labels: expected at least one text, found {list(labels)!r}")
        if len(set(labels)) < len(labels):
            raise InvalidOptionError(f"candidate_labels: expected distinct labels, found {list(labels)!r}")
        template = self.hypothesis_template
        if not isinstance(template, str) or CANDIDATE_PLACE not in template:
            raise InvalidOptionError(
                f"hypothesis_template: expected {CANDIDATE_PLACE} where the label goes, found {template!r}"
            )

    @property
    def rows_per_text(self) -> int:  # type: ignore[override]
        """A pair for each candidate."""
        return len(self.candidate_labels)

    def require(self, info: ClassifierInfo) -> None:
        entailment_index(info.labels, info.name)

    def rows(self, text: object) -> Sequence[object]:
        template = self.hypothesis_template
        return [(text, template.replace(CANDIDATE_PLACE, label)) for label in self.candidate_labels]

    def answer(self, outcomes: Sequence[Outcome]) -> Outcome:
        answers = [outcome for outcome in outcomes if isinstance(outcome, Classification)]
        failed = (outcome for outcome in outcomes if isinstance(outcome, BertritonError))
        return next(failed, None) or self._joined(answers)

    def _joined(self, answers: Sequence[Classification]) -> Classification:
        _require_one_model(answers, "candidates")
        logits = np.array([answer.logits for answer in answers])  # [candidates, labels of the model]
        entailment = entailment_index(tuple(answers[0].scores), "")
        scores = dict(zip(self.candidate_labels, self._scores(logits, entailment).tolist(), strict=True))
        best_first = dict(sorted(scores.items(), key=lambda item: -item[1]))
        label = next(iter(best_first))
        over = tuple(name for name, score in best_first.items() if score >= DEFAULT_THRESHOLD)
        return Classification(
            label=label,
            score=best_first[label],
            scores=best_first,
            logits=tuple(logits[:, entailment].tolist()),
            token_count=max(answer.token_count for answer in answers),
            truncated=any(answer.truncated for answer in answers),
            labels=over if self.multi_label else (label,),
            windows=max(answer.windows for answer in answers),
            fingerprint=answers[0].fingerprint,
            problem_type=MULTI_LABEL if self.multi_label else SINGLE_LABEL,
        )

    def _scores(self, logits: NDArray[np.float64], entailment: int) -> NDArray[np.float64]:
        """As `ZeroShotClassificationPipeline.postprocess` of Transformers has them."""
        if self.multi_label or len(self.candidate_labels) == 1:
            # Contradiction is the first label, or the last where entailment is the first.
            contradiction = 0 if entailment else logits.shape[1] - 1
            return _softmax(logits[:, [contradiction, entailment]])[:, 1]
        return _softmax(logits[:, entailment])


class Rerank(Task):
    """How well a document answers a query: the pair, and the only logit of the model."""

    name: ClassVar[str] = "rerank"
    is_one_answer: ClassVar[bool] = True

    def require(self, info: ClassifierInfo) -> None:
        if len(info.labels) != 1:
            raise InvalidOptionError(
                f"rerank: model {info.name!r} has {len(info.labels)} logits ({', '.join(info.labels)}), "
                "expected a model with one, as rerankers have"
            )


def ranked(documents: Sequence[str], answers: Sequence[Classification]) -> list[RankedDocument]:
    """The documents by their answers, best first; of equal ones the first comes first.

    Raises:
        ModelNotReadyError: several models answered, whose logits cannot be compared.
    """
    _require_one_model(answers, "documents")
    found = [
        RankedDocument(
            index=index,
            score=_sigmoid(answer.logits[0]),
            document=document,
            logit=answer.logits[0],
            token_count=answer.token_count,
            truncated=answer.truncated,
            windows=answer.windows,
            fingerprint=answer.fingerprint,
        )
        for index, (document, answer) in enumerate(zip(documents, answers, strict=True))
    ]
    return sorted(found, key=lambda one: -one.logit)


def entailment_index(labels: Sequence[str], model: str) -> int:
    """The place of the label that says that a text entails its hypothesis, as Transformers looks for it.

    Raises:
        InvalidOptionError: there is none.

    Example:
        >>> entailment_index(("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), "mnli")
        2
    """
    for index, label in enumerate(labels):
        if label.lower().startswith(_ENTAILMENT):
            return index
    raise InvalidOptionError(
        f"candidate_labels: model {model!r} has no label that begins with {_ENTAILMENT!r}, found "
        f"{', '.join(labels)}: ask a model of natural language inference, exported with its own label names"
    )


def _require_one_model(answers: Sequence[Classification], what: str) -> None:
    found = sorted({answer.fingerprint for answer in answers})
    if len(found) > 1:
        raise ModelNotReadyError(
            f"the model is being replaced: the {what} were answered by the exports {' and '.join(found)}; "
            "if it stays so, replicas differ: serve one export on all of them"
        )


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return scores


def _sigmoid(logit: float) -> float:
    return float(np.exp(-np.logaddexp(0.0, -logit)))
