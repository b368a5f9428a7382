"""Which part of a text the model has read, found by asking the server how many tokens parts of it have.

The server tells the number of tokens and not where they lie. But it counts them before anything is cut off,
whatever it is told to read: so parts of a text are counted for next to nothing, and the one is found that has
as many tokens as were read. A border is told to the word; a word of which a part was read counts as unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from bertriton.contract import IN_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Count = Callable[[list[str]], Awaitable[list[int]]]

# Thai to Burmese, Khmer, Japanese, Chinese, Korean: no spaces between words there.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# A word, or one character of those, with the space before it.
_PIECE: Final = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)|\s+$")
_PARTS_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Part:
    """A stretch of a text."""

    text: str
    is_read: bool


@dataclass(frozen=True)
class Kept:
    """How many of a text's tokens are read at its start and at its end."""

    head: int
    tail: int
    count: int  # of the whole text

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.head + self.tail >= self.count


def kept_tokens(counts: Sequence[int], budget: int, truncation: str) -> list[Kept]:
    """What the server keeps of the texts of a row: `Frame.cut` of its tokenizer, without the tokens.

    Args:
        counts: tokens of each text, without special ones.
        budget: tokens that are read of all of them.
        truncation: one of `bertriton.contract.TRUNCATIONS`.

    Example:
        >>> kept_tokens([700], 510, "head_tail")
        [Kept(head=255, tail=255, count=700)]
    """
    sizes = _longest_first(counts, budget)
    if truncation == IN_WINDOWS:
        longer = int(counts[-1] > counts[0])
        sizes[longer] = counts[longer]
    shares = {"tail": (0, 1), "head_tail": (1, 1)}
    kept = []
    for count, size in zip(counts, sizes, strict=True):
        head, tail = shares.get(truncation, (1, 0))
        at_end = size * tail // (head + tail)
        kept.append(Kept(size - at_end, at_end, count))
    return kept


def _longest_first(counts: Sequence[int], budget: int) -> list[int]:
    """Numbers that fit the budget together, cut from the longer text first."""
    if sum(counts) <= budget:
        return list(counts)
    if len(counts) == 1:
        return [budget]
    shorter = min(*counts, budget // 2)
    sizes = [shorter, budget - shorter]
    return sizes if counts[0] <= counts[1] else sizes[::-1]


async def parts_of(text: str, kept: Kept, count: Count) -> list[Part]:
    """A text cut into what was read and what was not.

    Args:
        text: the whole of it.
        kept: how many of its tokens are read.
        count: gives the tokens of each of several texts, special ones not counted.
    """
    if kept.is_whole:
        return [Part(text, is_read=True)]
    ends = [0, *accumulate(len(piece) for piece in _PIECE.findall(text))]
    ends[-1] = len(text)
    head = await _last_fitting(ends, kept.head, lambda end: text[:end], count)
    starts = [len(text) - end for end in reversed(ends)]  # as lengths of what stands at the end
    tail = await _last_fitting(starts, kept.tail, lambda length: text[len(text) - length :], count)
    borders = [0, head, max(head, len(text) - tail), len(text)]
    return [
        Part(text[start:end], is_read=place != 1)
        for place, (start, end) in enumerate(pairwise(borders))
        if end > start
    ]


async def _last_fitting(lengths: Sequence[int], budget: int, part: Callable[[int], str], count: Count) -> int:
    """The largest of ascending lengths whose part of the text has no more tokens than the budget.

    Looks at lengths that double first, so that of a very long text little more is counted than is read.
    """
    if budget <= 0:
        return 0
    low, high = 0, len(lengths)  # the first fits, since it is nothing; the last is one too many
    probes = [1 << power for power in range(len(lengths).bit_length())]
    while probes := [index for index in probes if low < index < high]:
        found = await count([part(lengths[index]) for index in probes])
        low = max([low, *(index for index, tokens in zip(probes, found, strict=True) if tokens <= budget)])
        high = min([high, *(index for index, tokens in zip(probes, found, strict=True) if tokens > budget)])
        step = max(1, (high - low) // _PARTS_AT_ONCE)
        probes = list(range(low + step, high, step))
    return lengths[low]
