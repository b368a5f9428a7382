"""Where a model is wrong or in doubt, with the texts: what to read to find wrong labels and weak spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton_evaluate.figures.single_label import LENGTH_BOUNDS
from bertriton_evaluate.texts import cells_of_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bertriton_evaluate.texts import LabelledTexts, Predictions

SHOWN_MISTAKES: Final = 20
SHOWN_DOUBTS: Final = 20
SHOWN_CONFUSIONS: Final = 12  # pairs of labels
SHOWN_OF_A_GROUP: Final = 3
CONFIDENT: Final = 0.9  # probability from which on a mistake is a confident one
DOUBTFUL: Final = 0.1  # margin of the two most probable labels under which a text is a doubtful one


@dataclass(frozen=True)
class Example:
    """One text, what it is and what was said."""

    row: int  # in the file, from 1 on
    text: str  # whole
    pair: str | None  # the second text, where texts are pairs
    label: str  # what it is
    said: str  # the label of the answer
    confidence: float  # the probability of what was said
    label_probability: float  # the probability of what it is
    margin: float  # between the two most probable labels
    token_count: int  # of the whole text
    truncated: bool  # whether a part of it was not read


@dataclass(frozen=True)
class Confusion:
    """The texts of one label that were taken for another."""

    label: str  # what they are
    said: str  # the label of the answers
    mistakes: int  # how many
    share: float  # of the texts of that label
    examples: tuple[Example, ...]  # the most confident first


@dataclass(frozen=True)
class MistakesOfLength:
    """The mistakes among texts of so many tokens."""

    shortest: int  # tokens
    longest: int | None  # None: no bound
    texts: int  # how many there are
    mistakes: int  # how many of them are wrong
    examples: tuple[Example, ...]  # the most confident first


@dataclass(frozen=True)
class WeakSpots:
    """Where to look first; texts without an answer are nowhere here."""

    mistakes: int  # texts whose label is another than the file's
    confident_mistakes: int  # at a confidence of CONFIDENT or more
    doubtful: int  # texts whose margin is under DOUBTFUL
    truncated: int  # texts of which a part was not read
    truncated_mistakes: int  # mistakes among those
    most_confident_mistakes: tuple[Example, ...]  # the most confident first
    most_doubtful: tuple[Example, ...]  # the smallest margin first, right or wrong
    by_label: tuple[Confusion, ...]  # the most frequent first
    by_length: tuple[MistakesOfLength, ...]  # the shortest first; lengths without texts are left out


def weak_spots(predictions: Predictions, texts: LabelledTexts, expected: NDArray[np.intp]) -> WeakSpots:
    """Find the texts that are worth reading.

    Args:
        predictions: of R texts and C labels.
        texts: the file that they are of.
        expected: what each text is, (R), places among the labels.

    Raises:
        FileFormatError: the file cannot be read.

    Example:
        >>> weak_spots(predictions, texts, expected).most_confident_mistakes[0].row
        17
    """
    answers = _Answers(predictions, expected)
    groups = _Groups(
        mistakes=answers.mistakes[:SHOWN_MISTAKES],
        doubts=np.argsort(answers.margin, kind="stable")[:SHOWN_DOUBTS],
        confusions=list(answers.confusions()),
        lengths=list(answers.lengths()),
    )
    examples = answers.examples(texts, groups.places())
    return WeakSpots(
        mistakes=len(answers.mistakes),
        confident_mistakes=int((answers.confidence[answers.mistakes] >= CONFIDENT).sum()),
        doubtful=int((answers.margin < DOUBTFUL).sum()),
        truncated=int(answers.truncated.sum()),
        truncated_mistakes=int((answers.truncated & answers.is_wrong).sum()),
        most_confident_mistakes=_chosen(examples, groups.mistakes),
        most_doubtful=_chosen(examples, groups.doubts),
        by_label=tuple(
            Confusion(
                label=predictions.labels[label],
                said=predictions.labels[said],
                mistakes=len(places),
                share=len(places) / int((answers.expected == label).sum()),
                examples=_chosen(examples, places[:SHOWN_OF_A_GROUP]),
            )
            for label, said, places in groups.confusions
        ),
        by_length=tuple(
            MistakesOfLength(
                shortest, longest, count, len(places), _chosen(examples, places[:SHOWN_OF_A_GROUP])
            )
            for shortest, longest, count, places in groups.lengths
        ),
    )


def _chosen(examples: dict[int, Example], places: Sequence[int] | NDArray[np.intp]) -> tuple[Example, ...]:
    return tuple(examples[int(place)] for place in places)


@dataclass(frozen=True)
class _Groups:
    """Which of the answered texts are shown, as places among them."""

    mistakes: NDArray[np.intp]
    doubts: NDArray[np.intp]
    confusions: list[tuple[int, int, NDArray[np.intp]]]  # label, what was said, all its mistakes
    lengths: list[tuple[int, int | None, int, NDArray[np.intp]]]  # bounds, texts, all its mistakes

    def places(self) -> set[int]:
        groups = [places for _, _, places in self.confusions] + [places for _, _, _, places in self.lengths]
        shown = (self.mistakes, self.doubts, *(places[:SHOWN_OF_A_GROUP] for places in groups))
        return {int(place) for places in shown for place in places}


class _Answers:
    """The A texts that have an answer, as arrays."""

    def __init__(self, predictions: Predictions, expected: NDArray[np.intp]) -> None:
        answered = predictions.answered
        self.labels = predictions.labels
        self.rows = np.flatnonzero(answered)  # in the file, from 0 on
        self.probabilities = predictions.probabilities[answered]  # (A, C)
        self.expected, self.said = expected[answered], predictions.decisions[answered]
        self.token_counts, self.truncated = (
            predictions.token_counts[answered],
            predictions.truncated[answered],
        )
        ranked = np.sort(self.probabilities, axis=1)
        self.confidence = ranked[:, -1]
        self.margin = self.confidence - (ranked[:, -2] if ranked.shape[1] > 1 else 0.0)
        self.is_wrong = self.said != self.expected
        by_confidence = np.argsort(-self.confidence, kind="stable")
        self.mistakes = by_confidence[self.is_wrong[by_confidence]]  # the most confident first

    def confusions(self) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
        """The most frequent mistakes: label, what was said, and where."""
        pairs = self.expected[self.mistakes] * len(self.labels) + self.said[self.mistakes]
        found, counts = np.unique(pairs, return_counts=True)
        for pair in found[np.argsort(-counts, kind="stable")][:SHOWN_CONFUSIONS]:
            label, said = divmod(int(pair), len(self.labels))
            yield label, said, self.mistakes[pairs == pair]

    def lengths(self) -> Iterator[tuple[int, int | None, int, NDArray[np.intp]]]:
        """By tokens: bounds, number of texts, and where the mistakes are."""
        buckets = np.digitize(self.token_counts, LENGTH_BOUNDS, right=True)
        bounds = zip((0, *LENGTH_BOUNDS), (*LENGTH_BOUNDS, None), strict=True)
        for bucket, (below, longest) in enumerate(bounds):
            if texts := int((buckets == bucket).sum()):
                yield below + 1, longest, texts, self.mistakes[buckets[self.mistakes] == bucket]

    def examples(self, texts: LabelledTexts, places: set[int]) -> dict[int, Example]:
        """The texts at these places, by place; reads the file once a column."""
        rows = {int(self.rows[place]) for place in places}
        row_to_text = cells_of_rows(texts.file, texts.text_column, rows)
        row_to_pair = cells_of_rows(texts.file, texts.pair_column, rows) if texts.pair_column else {}
        return {
            place: self._example(place, row_to_text, row_to_pair.get(int(self.rows[place])))
            for place in places
        }

    def _example(self, place: int, row_to_text: dict[int, str], pair: str | None) -> Example:
        row = int(self.rows[place])
        return Example(
            row=row + 1,
            text=row_to_text[row],
            pair=pair,
            label=self.labels[self.expected[place]],
            said=self.labels[self.said[place]],
            confidence=float(self.confidence[place]),
            label_probability=float(self.probabilities[place, self.expected[place]]),
            margin=float(self.margin[place]),
            token_count=int(self.token_counts[place]),
            truncated=bool(self.truncated[place]),
        )
