"""Read the records of a Hadoop SequenceFile as Spark's `saveAsObjectFile` writes them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = b"SEQ\x06"
_KEY_CLASS: Final = b"org.apache.hadoop.io.NullWritable"
_VALUE_CLASS: Final = b"org.apache.hadoop.io.BytesWritable"
# Two flags (compressed, compressed by block) and the number of metadata entries: all zero.
_PLAIN: Final = bytes(2 + 4)
_SYNC_BYTES: Final = 16
_SYNC_ESCAPE: Final = -1
_LENGTH: Final = struct.Struct(">i")
# Length of the record, of its key (which is empty) and of its value.
_RECORD: Final = struct.Struct(">iii")

_HEADER: Final = (
    _MAGIC + bytes([len(_KEY_CLASS)]) + _KEY_CLASS + bytes([len(_VALUE_CLASS)]) + _VALUE_CLASS + _PLAIN
)


def read_records(file: Path, content: bytes) -> Iterator[bytes]:
    """The value of every record.

    Raises:
        CheckpointError: it is no such file, or a record is cut off or contradicts itself.
    """
    if content[: len(_HEADER)] != _HEADER or len(content) < len(_HEADER) + _SYNC_BYTES:
        raise CheckpointError(
            file, "not an uncompressed Hadoop SequenceFile of NullWritable and BytesWritable, version 6"
        )
    sync = content[len(_HEADER) : len(_HEADER) + _SYNC_BYTES]
    position = len(_HEADER) + _SYNC_BYTES
    while position < len(content):
        escape = _LENGTH.pack(_SYNC_ESCAPE) + sync
        if content[position : position + len(escape)] == escape:
            position += len(escape)
            continue
        header = content[position : position + _RECORD.size]
        if len(header) < _RECORD.size:
            raise CheckpointError(file, f"its record at byte {position} is cut off")
        record_bytes, key_bytes, value_bytes = _RECORD.unpack(header)
        start = position + _RECORD.size
        if key_bytes or value_bytes < 0 or record_bytes != value_bytes + _LENGTH.size:
            raise CheckpointError(file, f"its record at byte {position} contradicts its own length")
        if start + value_bytes > len(content):
            raise CheckpointError(file, f"its record at byte {position} is cut off")
        yield content[start : start + value_bytes]
        position = start + value_bytes
