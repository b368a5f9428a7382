"""A file of lines, whatever Unicode it is written in."""

from __future__ import annotations

import codecs
from typing import IO, TYPE_CHECKING, Final

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.rows import BYTES_WITHOUT_MEANING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD_BYTES: Final = 4096  # by which a file is recognised
_BLOCK_BYTES: Final = 1 << 16

# The longer marks first: UTF-32's begins with UTF-16's.
_MARK_TO_ENCODING: Final = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_MAGIC_TO_COMPRESSION: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
}
# Of the ASCII characters in UTF-16 every second byte is zero, in UTF-32 three of four; of UTF-8 none.
_ZEROS_OF_UTF16: Final = 0.2
_ZEROS_OF_UTF32: Final = 0.6


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
            self._encoding, self._start = self._recognised(self._file.read(_HEAD_BYTES))
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

    def _recognised(self, head: bytes) -> tuple[str, int]:
        """Encoding, and where the text begins."""
        for magic, compression in _MAGIC_TO_COMPRESSION.items():
            if head.startswith(magic):
                raise FileFormatError(f"{self._path} is compressed ({compression}): unpack it first")
        for mark, encoding in _MARK_TO_ENCODING.items():
            if head.startswith(mark):
                return encoding, len(mark)
        zeros = head.count(0) / max(len(head), 1)
        if zeros >= _ZEROS_OF_UTF16:
            found = "UTF-32" if zeros >= _ZEROS_OF_UTF32 else "UTF-16"
            raise FileFormatError(
                f"{self._path} looks like {found} without a byte-order mark: save it as UTF-8, or with one"
            )
        # Of other scripts than Latin hardly a byte is zero in UTF-16, but those of a line's end.
        if zeros and not _is_utf8(head):
            raise FileFormatError(
                f"{self._path} is not text, or UTF-16 without a byte-order mark (it has zero bytes, and some "
                "that are no UTF-8): save it as UTF-8, or with a mark"
            )
        return "utf-8", 0


def _is_utf8(head: bytes) -> bool:
    """Whether the beginning of a file is UTF-8, whose last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < _HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True
