"""What an evaluation suggests to do next, in sentences, each with the figure that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_evaluate.figures import CONFIDENT, DOUBTFUL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_evaluate.figures import WeakSpots

MIN_TRUNCATED: Final = 10  # fewer say nothing about truncation


def next_steps(spots: WeakSpots, texts: int) -> Iterator[str]:
    """The steps that the figures speak for, the first first.

    Args:
        spots: of an evaluation.
        texts: how many texts were answered.
    """
    if not spots.mistakes:
        yield f"No text of {texts:,} was taken for what it is not."
    if spots.confident_mistakes:
        yield (
            f"Read the confident mistakes first: {spots.confident_mistakes:,} of {spots.mistakes:,} mistakes "
            f"were said with a confidence of {CONFIDENT} or more. Some may be wrong labels of the file."
        )
    if spots.by_label:
        most = spots.by_label[0]
        yield (
            f"The most frequent mistake is {most.label} taken for {most.said}: {most.mistakes:,} of "
            f"{spots.mistakes:,} mistakes, {most.share:.1%} of the texts labelled {most.label}."
        )
    if _suffers_from_truncation(spots, texts):
        whole = texts - spots.truncated
        whole_share = (spots.mistakes - spots.truncated_mistakes) / whole if whole else 0.0
        yield (
            f"{spots.truncated_mistakes / spots.truncated:.1%} of {spots.truncated:,} truncated texts are "
            f"mistakes, and {whole_share:.1%} of {whole:,} whole ones: see whether another --truncation does "
            "better, windows for example."
        )
    if spots.doubtful:
        yield (
            f"For {spots.doubtful:,} texts the two most probable labels are less than {DOUBTFUL} apart: read "
            "them to see what the labels do not tell apart."
        )


def _suffers_from_truncation(spots: WeakSpots, texts: int) -> bool:
    mistakes_of_whole = spots.mistakes - spots.truncated_mistakes
    return (
        spots.truncated >= MIN_TRUNCATED
        and spots.truncated_mistakes * (texts - spots.truncated) > mistakes_of_whole * spots.truncated
    )
