"""The texts that int8 is made by and judged by, which are never the same."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Channels show which of them run large on few texts already.
CALIBRATING_TEXTS: Final = 64
TEXTS_PER_CALIBRATING_TEXT: Final = 5
# Of fewer texts one changed label is more than the gate allows, so that it would judge by luck.
MIN_JUDGING_TEXTS: Final = 300


@dataclass(frozen=True)
class Int8Texts:
    """Texts by their use; none is in both."""

    calibrating: tuple[str, ...]  # to smooth by
    judging: tuple[str, ...]  # to compare with fp32 on; none: nobody judges


def default_texts() -> Int8Texts:
    """What comes with the package: film reviews from a few words to several hundred."""
    return Int8Texts(_lines("calibration_reviews.txt"), _lines("judging_reviews.txt"))


def split_texts(texts: Sequence[str]) -> Int8Texts:
    """Part a user's texts; those to calibrate by are spread over all, since files are often sorted.

    Raises:
        OptionError: too few are left to judge by.

    Example:
        >>> len(split_texts([f"text {number}" for number in range(1000)]).judging)
        933
    """
    distinct = list(dict.fromkeys(texts))
    step = max(TEXTS_PER_CALIBRATING_TEXT, len(distinct) // CALIBRATING_TEXTS)
    calibrating = set(distinct[::step])
    judging = tuple(text for text in distinct if text not in calibrating)
    if len(judging) < MIN_JUDGING_TEXTS:
        needed = -(-MIN_JUDGING_TEXTS * TEXTS_PER_CALIBRATING_TEXT // (TEXTS_PER_CALIBRATING_TEXT - 1))
        raise OptionError(
            f"validation texts: found {len(distinct)} different ones, expected {needed} at least, of "
            f"which {MIN_JUDGING_TEXTS} judge int8; give more, or none for the film reviews that come along, "
            "or export with --no-gate or --precision fp32"
        )
    return Int8Texts(tuple(distinct[::step]), judging)


def _lines(file: str) -> tuple[str, ...]:
    return tuple((resources.files(__package__) / file).read_text(encoding="utf-8").splitlines())
