"""Where sentences begin and end, by rules: NLU has a network for it, whose borders may differ."""

from __future__ import annotations

import re
from typing import Final

# After a mark that ends a sentence and what closes with it, curly quotes too, unless a small letter goes on;
# and at line breaks.
_BORDER: Final = re.compile("""(?<=[.!?…])["'\u201d\u2019)\\]]*\\s+(?![a-zß-öø-ÿ])|\\s*\n\\s*""")


def sentences(text: str) -> list[tuple[int, int]]:
    """Begin and end, exclusive, of each sentence, white space around it left out; none of a blank text.

    Example:
        >>> sentences("Great! See it.")
        [(0, 6), (7, 14)]
    """
    found = []
    begin = 0
    for border in [*_BORDER.finditer(text), None]:
        end = len(text) if border is None else _end_of(border)
        part = text[begin:end]
        start = begin + len(part) - len(part.lstrip())
        if part.strip():
            found.append((start, start + len(part.strip())))
        begin = end
    return found


def _end_of(border: re.Match[str]) -> int:
    """Marks that close belong to the sentence."""
    return border.start() + len(border.group().rstrip())
