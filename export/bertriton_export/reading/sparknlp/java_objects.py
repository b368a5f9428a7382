"""Read arrays of pairs from a Java Object Serialization stream: the few classes such an array needs, as data.

No class is ever loaded: a name that is not on the list is refused. The grammar is that of
https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html, section 6.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_STREAM_HEADER: Final = b"\xac\xed\x00\x05"
_BASE_HANDLE: Final = 0x7E0000
_SERIALIZABLE: Final = 0x02  # and nothing else: no class with a writeObject of its own

_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY, _END_BLOCK = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x78
_LONG_STRING: Final = 0x7C

_PAIR_ARRAY: Final = "[Lscala.Tuple2;"
_PAIR: Final = "scala.Tuple2"
_PAIR_SIZE: Final = 2
_INTEGER: Final = "java.lang.Integer"
# Class -> its fields, each with its type code.
_CLASS_TO_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    _PAIR_ARRAY: (),
    _PAIR: ("L_1", "L_2"),
    _INTEGER: ("Ivalue",),
    "java.lang.Number": (),
}


def read_pairs(file: Path, content: bytes) -> list[tuple[str, str | int]]:
    """The pairs of a serialised `scala.Tuple2[]`: a text, and a text or a whole number.

    Raises:
        CheckpointError: the stream is malformed, holds something else, or names another class.
    """
    stream = _Stream(file, content)
    try:
        pairs = stream.read()
    except (struct.error, IndexError, KeyError, ValueError, TypeError, RecursionError) as exc:
        raise CheckpointError(file, f"not a well-formed Java object stream: {exc}") from exc
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not (
            isinstance(pair, tuple)
            and len(pair) == _PAIR_SIZE
            and isinstance(pair[0], str)
            and isinstance(pair[1], str | int)
        ):
            raise CheckpointError(
                file, "a Java object stream of something else than pairs of text and number"
            )
    return pairs  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _ClassDescription:
    name: str
    fields: tuple[str, ...]
    parent: _ClassDescription | None


class _Stream:
    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        self._content = content
        self._position = 0
        self._handles: list[Any] = []
        self._tag_to_read = {
            _NULL: lambda: None,
            _REFERENCE: self._referenced,
            _CLASS: self._class,
            _OBJECT: self._object,
            _STRING: lambda: self._text(">H"),
            _LONG_STRING: lambda: self._text(">Q"),
            _ARRAY: self._array,
        }

    def read(self) -> Any:  # noqa: ANN401 (whatever was serialised)
        if self._bytes(len(_STREAM_HEADER)) != _STREAM_HEADER:
            raise ValueError("its header is missing")
        value = self._content_element()
        if self._position != len(self._content):
            raise ValueError("bytes are left over")
        return value

    def _bytes(self, count: int) -> bytes:
        part = self._content[self._position : self._position + count]
        if len(part) != count:
            raise ValueError("it is cut off")
        self._position += count
        return part

    def _number(self, layout: str) -> int:
        return int(struct.unpack(layout, self._bytes(struct.calcsize(layout)))[0])

    def _content_element(self) -> Any:  # noqa: ANN401
        tag = self._number(">B")
        if tag not in self._tag_to_read:
            raise ValueError(f"an element of kind {tag:#x}")
        return self._tag_to_read[tag]()

    def _remember(self, value: Any) -> int:  # noqa: ANN401
        self._handles.append(value)
        return len(self._handles) - 1

    def _referenced(self) -> Any:  # noqa: ANN401
        handle = self._number(">i") - _BASE_HANDLE
        if not 0 <= handle < len(self._handles):
            raise ValueError("a reference to nothing")
        return self._handles[handle]

    def _text(self, length_layout: str) -> str:
        text = _modified_utf8(self._bytes(self._number(length_layout)))
        self._remember(text)
        return text

    def _class(self) -> _ClassDescription:
        name = _modified_utf8(self._bytes(self._number(">H")))
        if name not in _CLASS_TO_FIELDS:
            raise CheckpointError(
                self._file,
                f"holds an object of the Java class {name}, expected {', '.join(_CLASS_TO_FIELDS)} and texts",
            )
        self._number(">q")  # serialVersionUID
        handle = self._remember(None)
        flags = self._number(">B")
        fields = tuple(self._field() for _ in range(self._number(">H")))
        if flags != _SERIALIZABLE or fields != _CLASS_TO_FIELDS[name] or self._number(">B") != _END_BLOCK:
            raise ValueError(f"class {name} is not declared as the JVM declares it")
        parent = self._content_element()
        if parent is not None and not isinstance(parent, _ClassDescription):
            raise TypeError(f"class {name} descends from no class")
        self._handles[handle] = _ClassDescription(name, fields, parent)
        return self._handles[handle]  # type: ignore[no-any-return]

    def _field(self) -> str:
        kind = chr(self._number(">B"))
        name = _modified_utf8(self._bytes(self._number(">H")))
        if kind in "L[":
            self._content_element()  # the declared type; the value says what it is
        return kind + name

    def _class_of(self, expected: tuple[str, ...]) -> _ClassDescription:
        described = self._content_element()
        if not isinstance(described, _ClassDescription) or described.name not in expected:
            raise TypeError(f"expected an object of {' or '.join(expected)}")
        return described

    def _object(self) -> tuple[Any, ...] | int:
        described = self._class_of((_PAIR, _INTEGER))
        handle = self._remember(None)
        values = tuple(
            self._number(">i") if field[0] == "I" else self._content_element() for field in described.fields
        )
        self._handles[handle] = values if described.name == _PAIR else values[0]
        return self._handles[handle]  # type: ignore[no-any-return]

    def _array(self) -> list[Any]:
        self._class_of((_PAIR_ARRAY,))
        handle = self._remember(None)
        count = self._number(">i")
        self._handles[handle] = [self._content_element() for _ in range(count)]
        return self._handles[handle]  # type: ignore[no-any-return]


def _modified_utf8(content: bytes) -> str:
    """Java's UTF-8: NUL as two bytes, and what lies beyond the basic plane as two surrogates."""
    text = content.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return text.encode("utf-16", "surrogatepass").decode("utf-16")
