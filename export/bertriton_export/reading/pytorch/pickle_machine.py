"""What `torch.save` pickled, read as data: a closed list of opcodes and globals, and nothing is ever called.

A pickle is a program for a stack machine whose `REDUCE` calls whatever the file names. Here the machine knows
the opcodes that tensors need, a global is a name that must be on the list, and `REDUCE` describes a tensor.
"""

from __future__ import annotations

import pickletools
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bertriton_export.reading.files import ViewReader

MAX_PICKLE_OPCODES: Final = 1_000_000  # a tensor takes about fifty
MAX_DICT_ARGUMENTS: Final = 1000  # copied whenever one is made, however often the same list is named
MAX_DIMENSIONS: Final = 64  # as numpy allows

STORAGE_TO_DTYPE: Final = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_LARGEST_SIZE: Final = 2**62
_CONSTANT_OPCODES: Final[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERAL_OPCODES: Final = frozenset(
    ["BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"]
)


@dataclass(frozen=True)
class Storage:
    """A run of elements that tensors look into."""

    dtype: str
    key: str  # names it in the file
    elements: int


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's elements lie in its storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    name: str
    build: Callable[..., Any] | None  # what REDUCE makes of its arguments
    dtype: str | None = None  # of a storage type


class _Mark:
    """Where the arguments of a many-argument opcode begin."""


def read_pickle(file: Path, opened: ViewReader) -> Any:  # noqa: ANN401 (whatever was pickled)
    """Read one pickle from where the file stands: dicts, lists, tuples, scalars and `StoredTensor`s.

    Raises:
        CheckpointError: it is malformed, or holds an opcode or a global that tensors do not need.
    """
    machine = _Machine(file)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", opened))):
            if count > MAX_PICKLE_OPCODES:
                raise CheckpointError(file, f"its pickle has more than {MAX_PICKLE_OPCODES} opcodes")
            machine.step(opcode.name, argument)
        return machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as exc:
        raise CheckpointError(file, f"not a well-formed pickle: {type(exc).__name__}: {exc}") from exc


class _Machine:
    """The pickle machine, less everything that could run code."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._opcode_to_method: dict[str, Callable[[Any], None]] = {
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "MARK": lambda _: self.stack.append(_Mark),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "TUPLE": lambda _: self.stack.append(tuple(self._pop_to_mark())),
            "TUPLE1": lambda _: self._tuple_of(1),
            "TUPLE2": lambda _: self._tuple_of(2),
            "TUPLE3": lambda _: self._tuple_of(3),
            "APPEND": lambda _: self._append([self.stack.pop()]),
            "APPENDS": lambda _: self._append(self._pop_to_mark()),
            "SETITEM": lambda _: self._set_items(self._pop(2)),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            "GLOBAL": lambda name: self.stack.append(self._global(name)),
            "STACK_GLOBAL": lambda _: self.stack.append(self._global(" ".join(self._pop(2)))),
            "REDUCE": lambda _: self._reduce(*self._pop(2)),
            "BUILD": lambda _: self._build(*self._pop(2)),
            "BINPERSID": lambda _: self.stack.append(self._storage(self.stack.pop())),
            "PROTO": lambda _: None,
            "FRAME": lambda _: None,
            "STOP": lambda _: None,
        }

    def step(self, opcode: str, argument: Any) -> None:  # noqa: ANN401 (as the opcode defines it)
        """Do what one opcode says."""
        if opcode in _LITERAL_OPCODES:
            self.stack.append(argument)
        elif opcode in _CONSTANT_OPCODES:
            self.stack.append(_CONSTANT_OPCODES[opcode])
        elif opcode in self._opcode_to_method:
            self._opcode_to_method[opcode](argument)
        else:
            raise CheckpointError(
                self._file, f"its pickle has the opcode {opcode}, which no tensor needs; nothing was run"
            )

    def _put(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("an opcode finds too little on the stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self.stack.pop()) is not _Mark:
            values.append(value)
        return values[::-1]

    def _tuple_of(self, count: int) -> None:
        self.stack.append(tuple(self._pop(count)))

    def _append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("an item is appended to what is not a list")
        self.stack[-1].extend(values)

    def _set_items(self, values: list[Any]) -> None:
        keys = values[::2]
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str) for key in keys):
            raise TypeError("an item is set in what is not a dict, or under what is not text")
        self.stack[-1].update(zip(keys, values[1::2], strict=True))

    def _global(self, name: str) -> _Global:
        module, _, attribute = name.partition(" ")
        if module == "torch" and attribute in STORAGE_TO_DTYPE:
            return _Global(name, None, STORAGE_TO_DTYPE[attribute])
        if name not in _GLOBAL_TO_BUILD:
            raise CheckpointError(
                self._file,
                f"its pickle asks for {module}.{attribute}, which is not among what weights need "
                f"({', '.join(sorted(key.replace(' ', '.') for key in _GLOBAL_TO_BUILD))}, storages); "
                "nothing was run",
            )
        return _Global(name, _GLOBAL_TO_BUILD[name])

    def _reduce(self, function: Any, arguments: Any) -> None:  # noqa: ANN401
        if not isinstance(function, _Global) or function.build is None or not isinstance(arguments, tuple):
            raise TypeError("REDUCE of what is not a constructor")
        self.stack.append(function.build(*arguments))

    def _build(self, target: Any, _: Any) -> None:  # noqa: ANN401
        # A state dict carries `_metadata`, which says nothing about the weights.
        if not isinstance(target, dict):
            raise TypeError("BUILD on what is not a dict")
        self.stack.append(target)

    def _storage(self, identity: Any) -> Storage:  # noqa: ANN401
        kind, storage_type, key, _, elements, *view = identity
        if kind != "storage" or not isinstance(storage_type, _Global) or storage_type.dtype is None:
            raise TypeError("a persistent id that is not a storage")
        if not isinstance(key, str | int):
            raise TypeError("a storage without a name")
        if any(part is not None for part in view):
            raise ValueError("a view of a storage, as PyTorch before 0.4 wrote them")
        return Storage(storage_type.dtype, str(key), _checked_size(elements))


def _checked_size(value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, int) or not 0 <= value < _LARGEST_SIZE:
        raise ValueError("a size or stride that is not a count")
    return value


def _checked_sizes(values: Any) -> tuple[int, ...]:  # noqa: ANN401
    if not isinstance(values, tuple | list) or len(values) > MAX_DIMENSIONS:
        raise ValueError(f"a shape that is not a list of at most {MAX_DIMENSIONS} sizes")
    return tuple(_checked_size(value) for value in values)


def _tensor(storage: Storage, offset: int, shape: Any, strides: Any, *_: Any) -> StoredTensor:  # noqa: ANN401
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    shape, strides = _checked_sizes(shape), _checked_sizes(strides)
    if len(shape) != len(strides):
        raise ValueError("a tensor with more dimensions than strides, or fewer")
    return StoredTensor(storage, _checked_size(offset), shape, strides)


def _parameter(tensor: StoredTensor, *_: Any) -> StoredTensor:  # noqa: ANN401
    return tensor


def _ordered_dict(items: Any = ()) -> dict[str, Any]:  # noqa: ANN401
    if len(items) > MAX_DICT_ARGUMENTS:
        raise ValueError("a dict made of many items at once, as PyTorch writes none")
    pairs = [(key, value) for key, value in items]
    if not all(isinstance(key, str) for key, _ in pairs):
        raise TypeError("an item under what is not text")
    return dict(pairs)


_GLOBAL_TO_BUILD: Final[dict[str, Callable[..., Any]]] = {
    "collections OrderedDict": _ordered_dict,
    "torch Size": _checked_sizes,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
}
