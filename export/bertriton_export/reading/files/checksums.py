"""The checksums that formats keep of their contents: zip's CRC-32 and TensorFlow's masked CRC-32C.

Each is taken of mapped bytes block by block, a third to one gigabyte a second, and the pages are given back.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import google_crc32c

from bertriton_export.reading.files.mapped_file import release_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES: Final = 2**20
_BLOCKS_BETWEEN_RELEASES: Final = 16
_CRC_MASK_DELTA: Final = 0xA282EAD8  # tensorflow/core/lib/hash/crc32c.h
_UINT32_MASK: Final = 0xFFFFFFFF


def crc32_of(view: memoryview) -> int:
    """The CRC-32 that a zip's directory keeps of a member."""
    checksum = 0
    for block in _blocks(view):
        checksum = zlib.crc32(block, checksum)
    return checksum


def crc32c_of(view: memoryview | bytes, before: int = 0) -> int:
    """The CRC-32C (Castagnoli) of bytes, or of those behind others.

    Args:
        view: the bytes.
        before: the checksum of what comes before them.
    """
    checksum = before
    for block in _blocks(memoryview(view)):
        checksum = google_crc32c.extend(checksum, bytes(block))
    return checksum


def masked(crc32c: int) -> int:
    """A CRC-32C as LevelDB and TensorFlow store it."""
    return ((crc32c >> 15 | crc32c << 17) + _CRC_MASK_DELTA) & _UINT32_MASK


def _blocks(view: memoryview) -> Iterator[memoryview]:
    for index, start in enumerate(range(0, len(view), _BLOCK_BYTES)):
        yield view[start : start + _BLOCK_BYTES]
        if index % _BLOCKS_BETWEEN_RELEASES == _BLOCKS_BETWEEN_RELEASES - 1:
            release_pages(view)
    release_pages(view)
