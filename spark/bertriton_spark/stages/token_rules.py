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

_CANDIDATE: Final = re.compile(r"[^ \t\n\x0b\f\r]+")  # Java's \s is ASCII's white space alone
_UNICODE_LINE_END: Final = re.compile("[\x85\u2028\u2029]")  # Java's dot does not match these


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
        whole = self._exceptions(text)
        for begin, end in _candidates(text, whole):
            candidate = text[begin:end]
            if any(begin < last and first < end for first, last in whole):
                yield begin, candidate
            else:
                for at, piece in self._around(candidate):
                    yield from self._split(begin + at, piece)

    def _exceptions(self, text: str) -> list[tuple[int, int]]:
        flags = 0 if self.exceptions_have_case else re.IGNORECASE
        return [found.span() for one in self.exceptions for found in re.finditer(one, text, flags)]

    def _around(self, candidate: str) -> list[tuple[int, str]]:
        """Context characters before, what they surround, and those behind."""
        begin = len(candidate) - len(candidate.lstrip(self.context_chars))
        end = len(candidate.rstrip(self.context_chars))
        if begin >= end or _UNICODE_LINE_END.search(candidate, begin, end):
            return [(0, candidate)]
        return [(0, candidate[:begin]), (begin, candidate[begin:end]), (end, candidate[end:])]

    def _split(self, begin: int, piece: str) -> Iterator[tuple[int, str]]:
        last = 0
        if self.split_pattern:
            for found in re.finditer(self.split_pattern, piece):
                yield begin + last, piece[last : found.start()]
                last = found.end()
        yield begin + last, piece[last:]


def _candidates(text: str, whole: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What stands between white space; white space inside of what stays whole is none."""
    begin = end = -1
    for found in _CANDIDATE.finditer(text):
        if begin >= 0 and not any(first < end and found.start() < last for first, last in whole):
            yield begin, end
            begin = -1
        begin = found.start() if begin < 0 else begin
        end = found.end()
    if begin >= 0:
        yield begin, end
