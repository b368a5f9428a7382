"""Texts of requests and their token ids, with a bound on the memory that either takes.

Copied into the repository beside the tokenizer model, which imports it.
"""

import ctypes
import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from tokenizers import Tokenizer

MAX_STRINGS = 2048  # of a tensor, more than two for each row of the largest batch
MAX_TEXT_BYTES = 2 * 2**20  # longer ones would hold up everybody else in the batch for seconds
MAX_REQUEST_BYTES = 4 * 2**20  # of all its texts; as much as our client sends at once
# Of the texts of one call. Its encodings take up to 440 bytes for each, where each is a token of its own.
MAX_CALL_CHARACTERS = 2**20
# Of a batch, after which what is free again goes back to the system.
TRIMMED_CHARACTERS = 2**17

_LENGTH = struct.Struct("<I")  # before each string of a tensor


class Strings(np.ndarray):
    """Strings that take any shape, or have none where it has more elements than can be counted.

    Triton 2.51 multiplies dimensions in 64 bits, where [3, (2**64 + 2) / 3] is two strings, and calls
    `reshape` where nobody catches what it raises: the process would end.
    """

    def reshape(self, *shape: Any, **_: Any) -> Any:
        """Take that shape, or that of no text, which is refused."""
        try:
            return self.shaped(*shape)
        except ValueError:
            return np.empty((0, 0, 0), np.object_)

    def shaped(self, *shape: Any) -> Any:
        """The strings in that shape."""
        return np.asarray(self).reshape(*shape)


class Unread(Strings):
    """Strings that are too many to be read: one, which stands for all of any shape."""

    def shaped(self, *shape: Any) -> Any:
        """Take that shape, without memory for it."""
        return np.broadcast_to(self, *shape)


def read_strings(encoded: Any) -> Any:
    """The strings of a tensor, as `deserialize_bytes_tensor` of Triton's Python backend reads them, but few.

    Triton 2.51 calls it before the model sees a request. Millions of empty strings are a few kilobytes on
    their way here, when compressed, and everybody else would wait until an object was made of each.
    """
    buffer, place, strings = memoryview(encoded).cast("B"), 0, list[bytes]()
    while place < len(buffer):
        start = place + _LENGTH.size
        place = start + _LENGTH.unpack_from(buffer, place)[0]
        strings.append(buffer[start:place].tobytes())
        if len(strings) > MAX_STRINGS:
            return np.array(b"", np.object_).view(Unread)
    if place > len(buffer):
        raise ValueError("text: the last string is longer than what was sent of it")
    return np.array(strings, np.object_).view(Strings)


def read_text(value: bytes, row: int) -> str:
    """One string, refused if it is not UTF-8 or too long."""
    if len(value) > MAX_TEXT_BYTES:
        raise ValueError(f"text: row {row} has {len(value)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"text: row {row} is not UTF-8 at byte {exc.start}: {exc.reason}") from None


def token_ids(
    tokenizer: Tokenizer, texts: list[str], before_more: Callable[[], None]
) -> Generator[list[int], None, None]:
    """Give each text's ids without special tokens; `before_more` is called before each call but the first."""
    for number, part in enumerate(parts(texts)):
        if number:
            before_more()
        # No name is bound to an encoding, which would last while the next are made.
        yield from (one.ids for one in tokenizer.encode_batch_fast(part, add_special_tokens=False))


def parts(texts: list[str]) -> Iterator[list[str]]:
    """Give texts in order, as many at a time as one call takes; a longer one is alone."""
    part, characters = list[str](), 0
    for text in texts:
        characters += len(text)
        if part and characters > MAX_CALL_CHARACTERS:
            yield part
            part, characters = [], len(text)
        part.append(text)
    yield part


def shares(ids: Iterator[list[int]], counts: Iterable[int]) -> Iterator[Iterator[list[int]]]:
    """Give for each count so many of the ids; what is left of a share is passed over before the next."""
    for count in counts:
        share = islice(ids, count)
        yield share
        deque(share, maxlen=0)


def give_back_memory() -> None:
    """Give the system what is free again, which glibc would keep for the next such texts."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
