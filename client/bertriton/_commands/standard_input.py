"""Lines of standard input, as they come."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES: Final = 1 << 16  # read at once, if so much is there
_MARK: Final = "\ufeff"  # that some programs write before UTF-8


def standard_input_lines(instead: str) -> Iterator[str]:
    """Lines as text; bytes that are no UTF-8 become surrogates, which the client refuses by line.

    Args:
        instead: what can be given where standard input is closed.
    """
    if sys.stdin is None:  # as Python says of one that is closed
        raise click.UsageError(f"standard input is closed: give {instead}")
    return _without_mark(_lines(sys.stdin.fileno()))


def _without_mark(lines: Iterator[str]) -> Iterator[str]:
    for first in lines:
        yield first.removeprefix(_MARK)
        break
    yield from lines


def _lines(descriptor: int) -> Iterator[str]:
    """Read without Python's buffer, whose lock a thread that waits for a line would hold at the end."""
    rest = b""
    while block := os.read(descriptor, _BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        yield from map(_decoded, lines)
    if rest:
        yield _decoded(rest)


def _decoded(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
