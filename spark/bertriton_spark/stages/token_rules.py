"""How Spark NLP's `Tokenizer` cuts a text; the model has a tokenizer of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bertriton_spark.annotations import Utf16Offsets, utf16_length

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT_CHARS: Final = (".", ",", ";", ":", "!", "?", "*", "-", "(", ")", '"', "'")
DEFAULT_MAX_LENGTH: Final = 99_999

# Java's \s is ASCII's white space alone; by the sign that comes last Spark NLP marks where it cuts.
_BREAKS: Final = " \t\n\x0b\f\r\u2187"
_CANDIDATE: Final = re.compile(f"[^{_BREAKS}]+")
_WHITE_SPACE: Final = re.compile(r"\s", re.ASCII)
_KEPT: Final = "\u2188"  # by which it marks white space of an exception
_UNICODE_LINE_ENDS: Final = "\x85\u2028\u2029"  # Java's dot does not match these


@dataclass(frozen=True)
class Token:
    """A part of a text."""

    begin: int  # in UTF-16 units from the text's start
    end: int  # of its last unit
    text: str


@dataclass(frozen=True)
class TokenRules:
    """What is cut off and apart.

    A candidate is what stands between white space. Context characters around it become one token before and
    one behind; what is nothing else stays whole.
    """

    context_chars: str = "".join(CONTEXT_CHARS)
    split_pattern: str = ""  # of what stands between the parts of a token; "": none
    splits_at_ends: bool = True  # also where a token has that at its end alone
    exceptions: tuple[str, ...] = field(default=())  # patterns of what stays whole, white space included
    exceptions_have_case: bool = True
    min_length: int = 0  # UTF-16 units of a token
    max_length: int = DEFAULT_MAX_LENGTH

    def tokens(self, text: str) -> list[Token]:
        """The tokens of a text, in their order."""
        offsets = Utf16Offsets(text)
        return [
            Token(offsets.at(begin), offsets.at(begin) + length - 1, part)
            for begin, part in self._parts(text)
            if part and self.min_length <= (length := utf16_length(part)) <= self.max_length
        ]

    def _parts(self, text: str) -> Iterator[tuple[int, str]]:
        marked, exceptions = self._with_exceptions(text)
        for found in _CANDIDATE.finditer(marked):
            candidate = text[found.start() : found.end()]
            if self.exceptions and (_KEPT in found[0] or candidate in exceptions):
                yield found.start(), candidate
            else:
                for at, piece in self._split(candidate):
                    yield found.start() + at, piece

    def _with_exceptions(self, text: str) -> tuple[str, set[str]]:
        """The text with white space of exceptions marked, and the exceptions found that have none."""
        if not self.exceptions:
            return text, set()
        without: set[str] = set()

        def marked(found: re.Match[str]) -> str:
            kept = _WHITE_SPACE.sub(_KEPT, found[0])
            if kept == found[0]:
                without.add(kept)
            return kept

        flags = re.ASCII if self.exceptions_have_case else re.ASCII | re.IGNORECASE
        return re.sub("|".join(self.exceptions), marked, text, flags=flags), without

    def _around(self, candidate: str) -> list[str]:
        """Context characters before, what they surround, and those behind; nothing if they surround none."""
        begin = len(candidate) - len(candidate.lstrip(self.context_chars))
        end = len(candidate.rstrip(self.context_chars))
        core = candidate[begin:end]
        if not core or any(one in core for one in _UNICODE_LINE_ENDS if one in self.context_chars):
            return []
        return [candidate[:begin], core, candidate[end:]]

    def _split(self, candidate: str) -> Iterator[tuple[int, str]]:
        around = self._around(candidate)
        if not around:
            yield 0, candidate  # whole, whatever parts tokens
        place = 0
        for piece in around:
            parts = self._parts_of(piece)
            for part in parts:
                # As there: parts are looked for behind the last one, what is whole is taken to stand there.
                place = candidate.find(part, place) if parts != [piece] else place
                yield place, part
                place += len(part)

    def _parts_of(self, piece: str) -> list[str]:
        parts = _split_as_java(self.split_pattern, piece) if self.split_pattern else [piece]
        return parts if len(parts) > 1 or self.splits_at_ends else [piece]


def _split_as_java(pattern: str, text: str) -> list[str]:
    """As `String.split`: without empty parts at the end."""
    parts, last = [], 0
    for found in re.finditer(pattern, text, re.ASCII):
        if found.end():
            parts.append(text[last : found.start()])
            last = found.end()
    parts.append(text[last:])
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts
