"""Lines of standard input, as they come."""

from __future__ import annotations

import codecs
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from bertriton._files import HEAD_BYTES, FileFormatError, encoding_of, without_end

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES: Final = 1 << 16  # read at once, if so much is there
_SOURCE: Final = "standard input"


def standard_input_lines(instead: str) -> Iterator[str]:
    """Lines as text; bytes that are no UTF-8 become surrogates, which the client refuses by line.

    Args:
        instead: what can be given where standard input is closed.

    Raises:
        FileFormatError: as of a file, it is compressed, or UTF-16 or UTF-32 without a mark, or has a carriage
            return without a line feed; or it cannot be read.
    """
    if sys.stdin is None:  # as Python says of one that is closed
        raise click.UsageError(f"{_SOURCE} is closed: give {instead}")
    lines = enumerate(_lines(_blocks(sys.stdin.fileno())), start=1)
    return (without_end(line, number, _SOURCE) for number, line in lines)


def _blocks(descriptor: int) -> Iterator[bytes]:
    """Read without Python's buffer, whose lock a thread that waits for a line would hold at the end."""
    while block := _block(descriptor):
        yield block


def _block(descriptor: int) -> bytes:
    """The next bytes, none at the end."""
    try:
        while True:
            with suppress(BlockingIOError):
                return os.read(descriptor, _BLOCK_BYTES)
            # Another program that shares the pipe or terminal, as Node does, may have set it not to wait.
            select.select([descriptor], [], [])
    except OSError as exc:
        raise FileFormatError(f"{_SOURCE} cannot be read: {exc.strerror}") from exc


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    head = _head(blocks)
    encoding, start = encoding_of(head, _SOURCE, is_all=False)
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    *lines, rest = decoder.decode(head[start:]).split("\n")
    try:
        yield from lines
        for block in blocks:
            *lines, rest = (rest + decoder.decode(block)).split("\n")
            yield from lines
        rest += decoder.decode(b"", final=True)
    except UnicodeDecodeError as exc:
        raise FileFormatError(f"{_SOURCE} is cut off or no {encoding}: {exc.reason}") from exc
    if rest:
        yield rest


def _head(blocks: Iterator[bytes]) -> bytes:
    """The first line at least, by which the encoding is told; no line can be given before."""
    head = b""
    for block in blocks:
        head += block
        if b"\n" in head or len(head) >= HEAD_BYTES:
            break
    return head
