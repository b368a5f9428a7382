"""Where sentences end, by the rules that Spark NLP's `SentenceDetector` names in its documentation.

These are that list's rules and not Spark NLP's code: of texts with nested quotes, or dots in a row, it may
make other sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_spark.annotations import Utf16Offsets

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before a name, before a number, and elsewhere where the text goes on in lower case or with a number.
_TITLES: Final = frozenset(
    [
        "adj",
        "adm",
        "brig",
        "capt",
        "cmdr",
        "col",
        "dr",
        "gen",
        "gov",
        "hon",
        "lt",
        "maj",
        "messrs",
        "mr",
        "mrs",
        "ms",
        "prof",
        "rep",
        "rev",
        "sen",
        "sgt",
        "st",
    ]
)
_NUMBERED: Final = frozenset(["art", "ext", "no", "nos", "p", "pp", "vol", "fig", "sec", "ch"])
_OTHERS: Final = frozenset(
    [
        "al",
        "apr",
        "aug",
        "ave",
        "bros",
        "cf",
        "co",
        "corp",
        "dec",
        "dept",
        "est",
        "etc",
        "feb",
        "inc",
        "jan",
        "jr",
        "jul",
        "jun",
        "ltd",
        "mar",
        "mt",
        "nov",
        "oct",
        "sep",
        "sept",
        "sr",
        "vs",
    ]
)
_WORD_BEFORE: Final = re.compile(r"(?:^|\s)([A-Za-z]+)$")
_GOES_ON: Final = re.compile(r"[.:?,-]|\s(?:[a-z]|\d|I\s|I'm|I'll)")
_POSSESSIVE: Final = re.compile(r"'s(?:\s|\Z)")

# Letters with dots between them, the last dot included unless a new sentence follows; hours.
_INITIALS: Final = re.compile(r"\b[a-zA-Z](?:\.[a-zA-Z])+(?:\.(?!\s[A-Z]))*|(?i:[ap]\.m\.*)")
_LIST_ITEM: Final = re.compile(r"\([a-z]+\)|\A[a-z]+\)|(?:\A|\s)-?\d{1,2}\.(?=\s|\))")
_EXCLAMATION: Final = re.compile(r"(?<=\S)[!?]+(?=\s|\Z)")
_ELLIPSIS: Final = re.compile(r"\.{3}(?=\s+[A-Z])")
_STOP: Final = re.compile(r"[.;]")
_IN_QUOTES: Final = re.compile(r"""'[\w\s?!.,']+'|"[\w\s?!.,]+"|\[[\w\s?!.,]+\]|\([\w\s?!.,]+\)""")
_DECIDED: Final = "\x00"  # in place of a dot that ends nothing, and of a mark that ended something
_TRIMMED: Final = "".join(map(chr, range(0x21)))  # what Java's trim takes


@dataclass(frozen=True)
class Sentence:
    """A part of a text."""

    begin: int  # in UTF-16 units from the text's start
    end: int  # of its last unit
    text: str


@dataclass(frozen=True)
class SentenceRules:
    """What ends a sentence."""

    abbreviations: bool = True  # whether common English ones are known
    lists: bool = True  # whether "(a)" and "1." begin a sentence
    custom_bounds: tuple[str, ...] = ()  # patterns that stand between sentences
    custom_only: bool = False  # whether nothing else ends one

    def sentences(self, text: str) -> list[Sentence]:
        """The sentences of a text, without white space around them."""
        offsets = Utf16Offsets(text)
        found = []
        for begin, end in self._pieces(text):
            piece = text[begin:end]
            begin += len(piece) - len(piece.lstrip(_TRIMMED))  # noqa: PLW2901
            if content := piece.strip(_TRIMMED):
                last = offsets.at(begin + len(content)) - 1
                found.append(Sentence(offsets.at(begin), last, content))
        return found

    def _pieces(self, text: str) -> Iterator[tuple[int, int]]:
        """What stands between bounds; a bound is a span, which is empty unless it is a custom one."""
        bounds = [found.span() for one in self.custom_bounds for found in re.finditer(one, text)]
        if not (self.custom_bounds and self.custom_only):
            bounds += [(place, place) for place in self._ends(text)]
        last = 0
        for begin, end in sorted(bounds):
            if begin >= last:
                yield last, begin
                last = end
        yield last, len(text)

    def _ends(self, text: str) -> set[int]:
        """Places where one sentence ends and the next may begin."""
        marked = list(text)
        ends = set()
        if self.lists:
            for item in _LIST_ITEM.finditer(text):
                ends.add(item.start())
        for place in self._idle_dots(text):
            marked[place] = _DECIDED
        for pattern in (_EXCLAMATION, _ELLIPSIS):
            for mark in pattern.finditer("".join(marked)):
                ends.add(mark.end())
                marked[mark.start() : mark.end()] = [_DECIDED] * (mark.end() - mark.start())
        stops = {stop.end() for stop in _STOP.finditer("".join(marked))}
        quoted = [found.span() for found in _IN_QUOTES.finditer("".join(marked))]
        return ends | {stop for stop in stops if not any(begin < stop < end for begin, end in quoted)}

    def _idle_dots(self, text: str) -> set[int]:
        """Dots that end no sentence."""
        idle = {
            place for place, character in enumerate(text) if character == "." and self._is_idle(text, place)
        }
        for found in _INITIALS.finditer(text):
            idle |= {place for place in range(*found.span()) if text[place] == "."}
        return idle

    def _is_idle(self, text: str, place: int) -> bool:
        before, behind = text[place - 1 : place], text[place + 1 : place + 2]
        if behind.isdigit() or _POSSESSIVE.match(text, place + 1):
            return True
        if before.isdigit():
            begins_a_list = place <= 2 and text[:place].isdigit()  # noqa: PLR2004  # two digits
            return bool(behind and not behind.isspace()) or begins_a_list
        if _is_word(before) and _is_word(behind):
            return True
        word = _WORD_BEFORE.search(text[max(0, place - 12) : place])
        if word is None or not behind:
            return False
        return self._is_short_form(word[1], text[place + 1 : place + 6])

    def _is_short_form(self, word: str, rest: str) -> bool:
        if len(word) == 1 and word.isupper():
            return rest[:1].isspace()
        if not self.abbreviations:
            return False
        lower = word.lower()
        return (
            (lower in _TITLES and rest[:1].isspace())
            or (lower in _NUMBERED and re.match(r"\s+[\d(]", rest) is not None)
            or (lower in _TITLES | _NUMBERED | _OTHERS and _GOES_ON.match(rest) is not None)
        )


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
