"""A file of lines, whatever Unicode it is written in."""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.arrow_values import BYTES_WITHOUT_MEANING
from bertriton._files.formats.encodings import HEAD_BYTES, encoding_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK_BYTES: Final = 1 << 16


def without_end(line: str, number: int, source: str) -> str:
    """A line without the line feed, or carriage return and line feed, that ends it.

    Raises:
        FileFormatError: it holds another carriage return, which may have been meant to end a line or not.
    """
    text = line.removesuffix("\n").removesuffix("\r")
    if "\r" in text:
        raise FileFormatError(
            f"{source}: line {number}: a carriage return without a line feed: end lines with a line feed"
        )
    return text


class LineFile:
    """The lines of a file of UTF-8, or of UTF-16 or UTF-32 with a byte-order mark.

    Raises:
        FileFormatError: it is compressed, no text, or UTF-16 or UTF-32 without the mark.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("rb")
        self.size = path.stat().st_size
        try:
            head = self._file.read(HEAD_BYTES)
            self._encoding, self._start = encoding_of(head, str(path), is_all=len(head) < HEAD_BYTES)
        except FileFormatError:
            self._file.close()
            raise

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return 0 if self._file.closed else self._file.tell()

    def lines(self) -> Iterator[str]:
        """All lines from the first on, with their ends; a line ends with a line feed."""
        self._file.seek(self._start)
        try:
            if self._encoding == "utf-8":
                # Not a TextIOWrapper: that forbids to ask the position while it is read.
                for line in self._file:
                    yield line.decode("utf-8", BYTES_WITHOUT_MEANING)
            else:
                yield from self._wide_lines()
        except UnicodeDecodeError as exc:
            raise FileFormatError(f"{self._path} is cut off or no {self._encoding}: {exc.reason}") from exc
        except OSError as exc:
            raise FileFormatError(f"{self._path} cannot be read to its end: {exc.strerror}") from exc

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _wide_lines(self) -> Iterator[str]:
        # A half of a pair of surrogates is for the client to refuse, by its row.
        decoder = codecs.getincrementaldecoder(self._encoding)("surrogatepass")
        rest = ""
        while block := self._file.read(_BLOCK_BYTES):
            *lines, rest = (rest + decoder.decode(block)).split("\n")
            yield from (line + "\n" for line in lines)
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest
