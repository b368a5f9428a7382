"""In which Unicode a text is written, by its first bytes."""

from __future__ import annotations

import codecs
from typing import Final

from bertriton._files.errors import FileFormatError

HEAD_BYTES: Final = 4096  # by which a file is recognised

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


def encoding_of(head: bytes, source: str, *, is_all: bool) -> tuple[str, int]:
    """The name of the encoding, and the bytes of its mark, after which the text begins.

    Args:
        head: the first bytes.
        source: where they are from, for messages.
        is_all: whether nothing comes after them.

    Raises:
        FileFormatError: it is compressed, no text, or UTF-16 or UTF-32 without a mark.
    """
    for magic, compression in _MAGIC_TO_COMPRESSION.items():
        if head.startswith(magic):
            raise FileFormatError(f"{source} is compressed ({compression}): unpack it first")
    for mark, encoding in _MARK_TO_ENCODING.items():
        if head.startswith(mark):
            return encoding, len(mark)
    zeros = head.count(0) / max(len(head), 1)
    if zeros >= _ZEROS_OF_UTF16:
        found = "UTF-32" if zeros >= _ZEROS_OF_UTF32 else "UTF-16"
        raise FileFormatError(
            f"{source} looks like {found} without a byte-order mark: save it as UTF-8, or with one"
        )
    # Of other scripts than Latin hardly a byte is zero in UTF-16, but those of a line's end.
    if zeros and not _is_utf8(head, is_all=is_all):
        raise FileFormatError(
            f"{source} is not text, or UTF-16 without a byte-order mark (it has zero bytes, and some "
            "that are no UTF-8): save it as UTF-8, or with a mark"
        )
    return "utf-8", 0


def _is_utf8(head: bytes, *, is_all: bool) -> bool:
    """Whether the beginning of a text is UTF-8; if more comes, its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_all)
    except UnicodeDecodeError:
        return False
    return True
