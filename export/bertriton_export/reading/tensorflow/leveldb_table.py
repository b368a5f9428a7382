"""Read a sorted table as LevelDB lays it out: TensorFlow keeps the index of a checkpoint in one.

Layout: https://github.com/google/leveldb/blob/main/doc/table_format.md.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError
from bertriton_export.reading.files import crc32c_of, masked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = 0xDB4775248B80FB57
_FOOTER: Final = struct.Struct("<40xQ")
_BLOCK_TRAILER: Final = struct.Struct("<BI")  # compression, masked checksum
_RESTART: Final = struct.Struct("<I")

# Keys share their beginnings, and blocks may overlap: a small file could claim any amount of either.
_MAX_BLOCK_BYTES: Final = 2**26
_MAX_KEY_BYTES: Final = 2**26
_MAX_VARINT_BYTES: Final = 10
_SHOWN_BYTES: Final = 80


def read_table(file: Path, content: bytes) -> dict[bytes, bytes]:
    """All entries of a table.

    Raises:
        CheckpointError: it is no table, or damaged; every block has a checksum.
    """
    try:
        return _all_entries(content)
    except (ValueError, IndexError, struct.error) as exc:
        raise CheckpointError(file, f"not a whole TensorFlow checkpoint index: {exc}") from exc


def _all_entries(content: bytes) -> dict[bytes, bytes]:
    if _FOOTER.unpack(content[-_FOOTER.size :])[0] != _MAGIC:
        raise ValueError("the mark at its end is missing")
    _, _, position = _handle(content, len(content) - _FOOTER.size)
    index_offset, index_size, _ = _handle(content, position)
    entries: dict[bytes, bytes] = {}
    block_bytes = 0
    for _, handle in _entries(_block(content, index_offset, index_size)):
        offset, size, _ = _handle(handle, 0)
        block_bytes += size
        if block_bytes > _MAX_BLOCK_BYTES:
            raise ValueError(f"its blocks hold more than {_MAX_BLOCK_BYTES} bytes")
        for key, value in _entries(_block(content, offset, size)):
            if key in entries:
                raise ValueError(f"the key {key[:_SHOWN_BYTES]!r} stands twice")
            entries[key] = value
    return entries


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        byte = content[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 (the top bit says that more follow)
            return value, position + index + 1
    raise ValueError("a number that does not end")


def _handle(content: bytes, position: int) -> tuple[int, int, int]:
    offset, position = _varint(content, position)
    size, position = _varint(content, position)
    return offset, size, position


def _block(content: bytes, offset: int, size: int) -> bytes:
    block = content[offset : offset + size]
    compression, checksum = _BLOCK_TRAILER.unpack(content[offset + size :][: _BLOCK_TRAILER.size])
    if compression:
        raise ValueError("a compressed block, which TensorFlow does not write")
    if masked(crc32c_of(content[offset : offset + size + 1])) != checksum:
        raise ValueError("the checksum of a block is wrong")
    return block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = _RESTART.unpack(block[-_RESTART.size :])
    end = len(block) - _RESTART.size * (restarts + 1)
    position, key, key_bytes = 0, b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        value_size, position = _varint(block, position)
        if shared > len(key) or position + unshared + value_size > end:
            raise ValueError("an entry is longer than its block")
        key_bytes += shared + unshared
        if key_bytes > _MAX_KEY_BYTES:
            raise ValueError(f"its keys are of more than {_MAX_KEY_BYTES} bytes")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + value_size]
        position += value_size
