"""Random Unicode strings that every run and every Python makes alike, to compare tokenizers on."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COUNT = 10_000
BLOCK = 500  # texts whose ids share a digest, so that a difference can be found

# First and last code points that strings are made of; no surrogates, which no UTF-8 has.
_RANGES = (
    (0x20, 0x7E),
    (0x00, 0xFF),
    (0x100, 0x24F),
    (0x300, 0x36F),  # combining marks
    (0x370, 0x5FF),
    (0x600, 0x6FF),
    (0x900, 0xDFF),
    (0x1100, 0x11FF),  # Hangul in parts
    (0x2000, 0x206F),  # spaces and controls of direction
    (0x2070, 0x2BFF),
    (0x3000, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xE000, 0xFFFF),
    (0x1F300, 0x1FAFF),
    (0x20000, 0x2FA1F),
    (0x0, 0xD7FF),
    (0x10000, 0x10FFFF),
)
_PIECES = (
    *("the", "film", "Great", "isn't", "ISTANBUL", "naïve", "Straße", "well-made", "1,000.50", "e\u0301"),
    *(" ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u200b", "\u2581", "##", "Ġ"),
    *("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "<los>"),
)


def random_texts(count: int = COUNT, seed: str = "0") -> list[str]:
    """The first `count` strings of a seed, from none to some dozens of characters each."""
    source = random.Random(seed)  # noqa: S311 (no secret)
    return [_random_text(source) for _ in range(count)]


def digests(ids: Iterable[Sequence[int]]) -> list[str]:
    """A digest of every `BLOCK` texts' token ids."""
    lines = [" ".join(map(str, one)) for one in ids]
    blocks = ("\n".join(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK))
    return [hashlib.sha256(block.encode()).hexdigest()[:16] for block in blocks]


def _random_text(source: random.Random) -> str:
    parts = []
    for _ in range(source.randrange(6)):
        if source.random() < 0.5:
            parts.append(source.choice(_PIECES))
        else:
            first, last = source.choice(_RANGES)
            parts += [chr(source.randint(first, last)) for _ in range(source.randrange(12))]
        parts.append(source.choice(("", " ")))
    return "".join(parts)
