"""The character map of a SentencePiece normaliser: a double array of what to replace, and the replacements.

The layout is that of sentencepiece's src/normalizer.cc (a size, the array, strings that end with a zero) and
of the double array of darts-clone (include/darts.h). The tokenizers library follows the map without looking
where it leads, and a panic in a server would end it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_SIZE_BYTES: Final = 4
_UNIT_BYTES: Final = 4
_LAST_LABEL: Final = 0xFF
_VALUE_MASK: Final = 0x7FFFFFFF
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80  # of bytes inside a character of UTF-8


def is_whole_charsmap(charsmap: bytes) -> bool:
    """Whether every way through the map stays in it, and ends at the start of a replacement.

    Example:
        >>> is_whole_charsmap(b"damaged")
        False
    """
    size = int.from_bytes(charsmap[:_SIZE_BYTES], "little")
    replacements = np.frombuffer(charsmap[_SIZE_BYTES + size :], np.uint8)
    if not size or size % _UNIT_BYTES or len(charsmap) < _SIZE_BYTES + size:
        return False
    units = np.frombuffer(charsmap, "<u4", size // _UNIT_BYTES, _SIZE_BYTES).astype(np.int64)
    is_value = units > _VALUE_MASK
    offsets = (units >> 10) << ((units & (1 << 9)) >> 6)
    children = np.arange(len(units)) ^ offsets
    has_value = ~is_value & ((units >> 8) & 1 == 1)
    stays = bool(((children | _LAST_LABEL) < len(units))[~is_value].all())
    if not stays or not is_value[children[has_value]].all():
        return False
    starts = units[children[has_value]] & _VALUE_MASK
    if not starts.size:
        return True
    if not replacements.size or replacements[-1] or starts.max() >= replacements.size:
        return False
    return bool(((replacements[starts] & _CONTINUATION_MASK) != _CONTINUATION).all())
