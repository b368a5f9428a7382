"""Read the variables of a TensorFlow 2 checkpoint: `NAME.index` and `NAME.data-*`, without TensorFlow.

The index says where each tensor lies; the object graph, a tensor itself, says which variable of the network
it is.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint import refuse_broken_link
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.reading.files import Folder, crc32c_of, lazy_tensor, masked, require_whole
from bertriton_export.reading.tensorflow.keras_names import to_huggingface
from bertriton_export.reading.tensorflow.leveldb_table import read_table
from bertriton_export.reading.tensorflow.protos import parse_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bertriton_export.checkpoint import LazyTensor
    from bertriton_export.reading.files import FileTree

_HEADER_KEY: Final = b""
_OBJECT_GRAPH_KEY: Final = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_LITTLE_ENDIAN: Final = 0
_STRING: Final = 7  # tensorflow/core/framework/types.proto
_TYPE_TO_DTYPE: Final = {1: "F32", 2: "F64", 3: "I32", 9: "I64", 14: "BF16", 19: "F16"}
_CHECKSUM_BYTES: Final = 4  # between the length of a string and the string
_LARGEST_UINT32: Final = 2**32 - 1
# An optimizer's copies of a variable bear the variable's name.
_WEIGHTS: Final = ("bert.", "classifier.")
_NO_WEIGHT: Final = (".OPTIMIZER_SLOT", "optimizer/", "keras_api/", "save_counter")


def checkpoint_tensors(index_file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of a checkpoint under Hugging Face names, given the path of its `.index`."""
    return tree_tensors(Folder(index_file.parent, links_may_leave=True), index_file.stem)


def tree_tensors(tree: FileTree, prefix: str) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of the checkpoint `prefix` of a folder or an archive, under Hugging Face names.

    Raises:
        CheckpointError: a file is missing or damaged, or the tensors have no names.
        TensorError: a tensor does not lie within its file, or two are of one name.
    """
    bundle = _Bundle(tree, prefix)
    seen: dict[str, bytes] = {}
    for name, key in bundle.variables():
        parameter, tensor = to_huggingface(name, bundle.tensor(name, key))
        # Others, as counters of training, may share a name.
        if parameter.startswith(_WEIGHTS) and seen.setdefault(parameter, key) != key:
            found = f"{seen[parameter].decode()} and {key.decode()}"
            raise TensorError(tree.path / f"{prefix}.index", parameter, expected="one variable", found=found)
        yield parameter, tensor


class _Bundle:
    def __init__(self, tree: FileTree, prefix: str) -> None:
        self._tree = tree
        self._prefix = prefix
        self._names = set(tree.names())
        self._index_file = tree.path / f"{prefix}.index"
        if f"{prefix}.index" not in self._names:
            raise CheckpointError(self._index_file, "no such file")
        self._entries = read_table(self._index_file, bytes(tree.read(f"{prefix}.index")))
        header = parse_message("BundleHeaderProto", self._entries.get(_HEADER_KEY, b""), self._index_file)
        if header.endianness != _LITTLE_ENDIAN:
            raise CheckpointError(self._index_file, "was written on a big-endian machine")
        self._shards: int = header.num_shards
        self._shard_to_bytes: dict[int, memoryview] = {}

    def variables(self) -> Iterator[tuple[str, bytes]]:
        """Each variable's name in the network and its key in the index."""
        if _OBJECT_GRAPH_KEY not in self._entries:
            raise CheckpointError(
                self._index_file,
                "has no object graph, so its tensors have no names: save it with TensorFlow 2",
            )
        graph = parse_message("TrackableObjectGraph", self._object_graph(), self._index_file)
        for node in graph.nodes:
            for attribute in node.attributes:
                key = attribute.checkpoint_key
                if not any(part in key for part in _NO_WEIGHT):
                    yield self._named(attribute.full_name, key), key.encode()

    def _named(self, full_name: str, key: str) -> str:
        if key.encode() not in self._entries:
            raise TensorError(
                self._index_file, full_name or key, expected="an entry in the index", found="no such tensor"
            )
        return full_name or key

    def _object_graph(self) -> memoryview:
        """A string tensor of one string: its length, a checksum of that, the string."""
        entry = self._entry(_OBJECT_GRAPH_KEY)
        data = self._data(entry, "the object graph")
        length_bytes = 1
        while length_bytes < len(data) and data[length_bytes - 1] & 0x80:
            length_bytes += 1
        start = length_bytes + _CHECKSUM_BYTES
        if entry.dtype != _STRING or len(data) < start or len(data) - start > _LARGEST_UINT32:
            raise CheckpointError(self._index_file, "its object graph is not a string")
        # The checksum is of the length as a fixed number, not as it is stored, and of all that follows it.
        length = struct.pack("<I", len(data) - start)
        self._require_checksum(entry, crc32c_of(data[length_bytes:], crc32c_of(length)), "the object graph")
        return data[start:]

    def _require_checksum(self, entry: Any, crc32c: int, name: str) -> None:  # noqa: ANN401
        if masked(crc32c) != entry.crc32c:
            raise TensorError(
                self._shard_file(entry.shard_id),
                name,
                expected=f"the checksum {entry.crc32c:#010x} of the index",
                found=f"{masked(crc32c):#010x}; the file is damaged",
            )

    def _entry(self, key: bytes) -> Any:  # noqa: ANN401 (a message made at run time)
        return parse_message("BundleEntryProto", self._entries[key], self._index_file)

    def tensor(self, name: str, key: bytes) -> LazyTensor:
        """One variable, still in its file."""
        entry = self._entry(key)
        shape = tuple(dim.size for dim in entry.shape.dim)
        dtype = _TYPE_TO_DTYPE.get(entry.dtype)
        if dtype is None or entry.slices or entry.shape.unknown_rank or any(size < 1 for size in shape):
            raise TensorError(
                self._index_file,
                name,
                expected="a whole tensor of numbers",
                found=f"type {entry.dtype}, shape {list(shape)}, {len(entry.slices)} slices",
            )
        data = self._data(entry, name)
        where = f"for shape {list(shape)}"
        require_whole(data, dtype, shape, listed_in=self._index_file, name=name, where=where)
        self._require_checksum(entry, crc32c_of(data), name)
        return lazy_tensor(self._shard_file(entry.shard_id), data, dtype, shape)

    def _shard_name(self, shard: int) -> str:
        return f"{self._prefix}.data-{shard:05}-of-{self._shards:05}"

    def _shard_file(self, shard: int) -> Path:
        return self._tree.path / self._shard_name(shard)

    def _data(self, entry: Any, name: str) -> memoryview:  # noqa: ANN401
        if self._shard_name(entry.shard_id) not in self._names:
            refuse_broken_link(self._shard_file(entry.shard_id))
            raise CheckpointError(self._shard_file(entry.shard_id), "no such file")
        if entry.shard_id not in self._shard_to_bytes:
            self._shard_to_bytes[entry.shard_id] = self._tree.read(self._shard_name(entry.shard_id))
        data = self._shard_to_bytes[entry.shard_id]
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > len(data):
            raise TensorError(
                self._shard_file(entry.shard_id),
                name,
                expected=f"{entry.size} bytes from byte {entry.offset}",
                found=f"a file of {len(data)} bytes",
            )
        return data[entry.offset : entry.offset + entry.size]
