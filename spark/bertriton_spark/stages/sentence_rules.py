"""Where sentences end, as Spark NLP's `SentenceDetector` has it.

Its rules are patterns that are tried one after the other, each on what those before it have marked: a mark is
no space and no letter to later patterns.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_spark.annotations import Utf16Offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Marks, which no text holds.
_KEPT: Final = "\ud800"  # a dot that ends nothing
_DOTS: Final = "\ud801"  # three that end a sentence
_END: Final = "\ud802"  # an end of a sentence
_BOUND: Final = "\ud803"  # likewise, in place of a pattern of the user's
_OPEN: Final = "\ud804"  # from here to the next mark of the other kind
_CLOSE: Final = "\ud805"  # nothing ends
_STOP: Final = "\ud806"  # a dot or semicolon, with an end behind it
_MARKS: Final = re.compile(f"[{_DOTS}{_END}{_BOUND}{_OPEN}{_CLOSE}]")
_WIDTHS: Final = {_DOTS: 3, _END: 0, _OPEN: 0, _CLOSE: 0}

# The abbreviations that it knows; a dot in one is any character. Before any word, before a number, elsewhere.
_TITLES: Final = "dr|mr|ms|prof|mt|st"
_NUMBERED: Final = "no|p|px"
_OTHERS: Final = (
    "adj|bros|btw|co|col|corp|cpl|dec|aug|del|dept|dist|dr|e.g|etc|exp|feb|fy|hr|i.e|id|inc|jan|jr|jul|jun|lt|ltd|"
    "mar|may|min|mr|mrs|ms|no|nov|oct|ok|p|px|plz|prof|rep|sec|sep|sept|sr|st|u.s|ver|vs"
)
_GOES_ON: Final = r"\s(?:[a-z]|I\s|I'm|I'll|\d)"

# A pattern, and what stands in place of what it finds.
Rule = tuple["re.Pattern[str]", "str | Callable[[re.Match[str]], str]"]
_SPACES: Final = " \t\n\x0b\f\r"
_LETTERS: Final = frozenset(string.ascii_letters + string.digits + "_")


def _rule(pattern: str, template: str) -> Rule:
    return re.compile(pattern, re.ASCII), template


def _dot_behind(words: str, rest: str, rest_at_start: str = "") -> Rule:
    """A dot behind one of some words that ends nothing; what must follow may be less at a text's start."""
    first = rf"^(?i:{words})\.(?={rest_at_start or rest})"
    return re.compile(rf"(?<=\s)(?i:{words})\.(?={rest})|{first}", re.ASCII), _without_dot


def _without_dot(found: re.Match[str]) -> str:
    return found[0][:-1] + _KEPT


def _with_quote_kept(found: re.Match[str]) -> str:
    """What may stand in single quotes, with what does: from the first that opens to the last that closes.

    One opens behind a space and closes before what is no letter, which it takes with it. A pattern for that
    would try each that opens with each that closes.
    """
    run, before = found[0], found.string[found.start() - 1 : found.start()]
    closing = next(
        (
            place
            for place in range(len(run) - 2, 1, -1)
            if run[place] == "'" and run[place + 1] not in _LETTERS
        ),
        0,
    )
    places = (place for place in range(closing - 1) if run[place] == "'")
    opening = next((place for place in places if (run[place - 1 : place] or before or " ") in _SPACES), None)
    if opening is None:
        return run
    return f"{run[:opening]}{_OPEN}{run[opening : closing + 2]}{_CLOSE}{run[closing + 2 :]}"


_LISTS: Final = (
    _rule(r"\([a-z]+\)|^[a-z]+\)", rf"{_END}{_OPEN}\g<0>{_CLOSE}"),
    _rule(
        r"(?:\s|^)-?\d{1,2}\.\s|(?:\s|^)\d{1,2}\.\)|s-\d{1,2}\.\)|^-\d{1,2}.\)",
        rf"{_END}{_OPEN}\g<0>{_CLOSE}",
    ),
)
_NUMBERS: Final = (
    _rule(r"\.(?=\d)|(?<=\d)\.(?=\S)", _KEPT),
    _rule(r"(?:(?<=^\d)|(?<=^\d\d))\.(?=\s\S|\))", _KEPT),
)
_INITIALS: Final = (
    # Java's \b knows letters of every script, with ASCII alone Python's does not.
    (re.compile(r"\b[a-zA-Z](?:\.[a-zA-Z])+(?:\.(?![ \t\n\x0b\f\r][A-Z]))*"), rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"(?i:p\.m\.*)", rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"(?i:a\.m\.*)", rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"\.(?='s(?:\s|\$|\Z))|(?<=Co)\.(?=\sKG)|(?:(?<=^[A-Z])|(?<=\s[A-Z]))\.(?=\s)", _KEPT),
)
_ABBREVIATIONS: Final = (
    _dot_behind(_TITLES, r"\s|:\d"),
    _dot_behind(_NUMBERED, r"\s\d|\s+\("),
    _dot_behind(_OTHERS, rf"[.:?-]|{_GOES_ON}", rf"[.:?]|{_GOES_ON}"),
    _dot_behind(_OTHERS, ","),
)
_ENDS: Final = (
    _rule(r"(?<=\S)[!?](?=\s|\Z|\$)", rf"\g<0>{_END}"),
    _rule(r"(?<=\w)\.(?=\w)|(?<=[a-zA-z]°)\.(?=\s*\d)", _KEPT),
    _rule(r"\.{3}(?=\s+[A-Z])", _DOTS + _END),
    _rule(r"(?<=\S)\.{3}(?=\.\s[A-Z])", _DOTS + _END),
    (re.compile(r"[\w\s?!.,|']+\W?", re.ASCII), _with_quote_kept),
    _rule(r'"[\w\s?!.,]+"', rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"\[[\w\s?!.,]+\]", rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"\([\w\s?!.,]+\)", rf"{_OPEN}\g<0>{_CLOSE}"),
    _rule(r"[.;]", _STOP + _END),
)
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
        """What stands between ends; a bound of the user's is in no piece."""
        widths: list[int] = []
        marked = self._with_bounds(text, widths)
        if not (self.custom_bounds and self.custom_only):
            marked = self._marked(marked)
        bounds = iter(widths)
        place = begin = last = 0
        for mark, is_end in _marks_of(marked):
            place += mark.start() - last
            last = mark.end()
            width = next(bounds) if mark[0] == _BOUND else _WIDTHS[mark[0]]
            if is_end:
                yield begin, place
                begin = place + width
            place += width
        yield begin, len(text)

    def _with_bounds(self, text: str, widths: list[int]) -> str:
        """The text with marks in place of the user's bounds, whose widths are added in their order."""
        spans: list[tuple[int, int]] = []
        for one in self.custom_bounds:
            for found in re.finditer(one, text):
                if not any(begin < found.end() and found.start() < end for begin, end in spans):
                    spans.append(found.span())
        parts, last = [], 0
        for begin, end in sorted(spans):
            parts += [text[last:begin], _BOUND]
            widths.append(end - begin)
            last = end
        return "".join([*parts, text[last:]])

    def _marked(self, text: str) -> str:
        abbreviations = (*_INITIALS, *(_ABBREVIATIONS if self.abbreviations else ()))
        # As there: bounds of the user's change the order of these two.
        middle = (*abbreviations, *_NUMBERS) if self.custom_bounds else (*_NUMBERS, *abbreviations)
        for pattern, template in (*(_LISTS if self.lists else ()), *middle, *_ENDS):
            text = pattern.sub(template, text)
        return text


def _marks_of(marked: str) -> list[tuple[re.Match[str], bool]]:
    """The marks of a text, and which of them end a sentence: those not on their way to a closing mark."""
    marks = []
    is_open = True  # whether the next mark of a protected part, if there is one, opens it
    for mark in reversed(list(_MARKS.finditer(marked))):
        if mark[0] in (_OPEN, _CLOSE):
            is_open = mark[0] == _OPEN
        marks.append((mark, is_open and mark[0] in (_END, _BOUND)))
    return marks[::-1]
