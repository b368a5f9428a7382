"""Read `pytorch_model.bin`, what `torch.save` writes for a state dict, without torch and without unpickling.

Two layouts: since PyTorch 1.6 a zip with a pickle of the structure and one stored member a storage; before,
five pickles followed by the storages. Tensors stay in the file until they are asked for.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint import short
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.reading.files import Archive, ViewReader, dtype_bytes, lazy_tensor, map_file
from bertriton_export.reading.pytorch.pickle_machine import StoredTensor, read_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bertriton_export.checkpoint import LazyTensor

_ZIP_MAGIC: Final = b"PK\x03\x04"
_STRUCTURE_MEMBER: Final = "data.pkl"
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION: Final = 1001
_LEGACY_COUNT: Final = struct.Struct("<q")  # elements, before each storage


def torch_tensors(file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of a state dict under the names they were saved with.

    Raises:
        CheckpointError: the file is damaged, or its pickle asks for anything but tensors.
        TensorError: a tensor does not lie within its storage.
    """
    view = map_file(file)
    structure, storage_bytes = (_zip_parts if bytes(view[:4]) == _ZIP_MAGIC else _legacy_parts)(file, view)
    if not isinstance(structure, dict):
        raise CheckpointError(file, f"expected tensors by name, found a {type(structure).__name__}")
    for name, tensor in structure.items():
        if not isinstance(tensor, StoredTensor):
            raise CheckpointError(
                file,
                f"entry {short(name)}: expected a tensor, found a {type(tensor).__name__}; "
                "save model.state_dict()",
            )
        yield name, _located(file, name, tensor, storage_bytes)


def _zip_parts(file: Path, view: memoryview) -> tuple[Any, Callable[[str], memoryview]]:
    archive = Archive(file, view)
    (structure_name, *others) = [
        name for name in archive.names() if name.endswith(f"/{_STRUCTURE_MEMBER}")
    ] or [""]
    if not structure_name or others:
        raise CheckpointError(file, f"a zip without its one {_STRUCTURE_MEMBER}: not written by torch.save")
    folder = structure_name.removesuffix(_STRUCTURE_MEMBER)
    names = set(archive.names())
    byte_order = f"{folder}byteorder"
    if byte_order in names and bytes(archive.read(byte_order)) != b"little":
        raise CheckpointError(file, "was written on a big-endian machine")

    def storage_bytes(key: str) -> memoryview:
        if f"{folder}data/{key}" not in names:
            raise CheckpointError(file, f"its storage {short(key)} is missing")
        return archive.read(f"{folder}data/{key}")

    return read_pickle(file, ViewReader(archive.read(structure_name))), storage_bytes


def _legacy_parts(file: Path, view: memoryview) -> tuple[Any, Callable[[str], memoryview]]:
    opened = ViewReader(view)
    if bytes(view[:1]) != b"\x80" or read_pickle(file, opened) != _LEGACY_MAGIC:
        raise CheckpointError(file, "not written by torch.save: neither a zip nor PyTorch's older layout")
    version, system, structure, keys = (read_pickle(file, opened) for _ in range(4))
    if version != _LEGACY_VERSION or not isinstance(system, dict) or not system.get("little_endian"):
        raise CheckpointError(file, "of another layout version or a big-endian machine, cannot be read")
    key_to_bytes = _legacy_storages(file, view, opened.tell(), structure, keys)

    def storage_bytes(key: str) -> memoryview:
        if key not in key_to_bytes:
            raise CheckpointError(file, f"its storage {short(key)} is missing")
        return key_to_bytes[key]

    return structure, storage_bytes


def _legacy_storages(
    file: Path,
    view: memoryview,
    start: int,
    structure: Any,  # noqa: ANN401 (unpickled)
    keys: Any,  # noqa: ANN401
) -> dict[str, memoryview]:
    are_keys = isinstance(keys, list) and all(isinstance(key, str | int) for key in keys)
    if not isinstance(structure, dict) or not are_keys:
        raise CheckpointError(file, "expected tensors by name and a list of storages")
    tensors = [tensor for tensor in structure.values() if isinstance(tensor, StoredTensor)]
    key_to_dtype = {tensor.storage.key: tensor.storage.dtype for tensor in tensors}
    found = {}
    for key in map(str, keys):
        header = view[start : start + _LEGACY_COUNT.size]
        if len(header) != _LEGACY_COUNT.size or key not in key_to_dtype:
            raise CheckpointError(file, f"its storage {short(key)} is cut off or belongs to no tensor")
        (elements,) = _LEGACY_COUNT.unpack(header)
        start += _LEGACY_COUNT.size
        size = elements * dtype_bytes(key_to_dtype[key])
        if not 0 <= size <= len(view) - start:
            raise CheckpointError(file, f"its storage {short(key)} is cut off")
        found[key] = view[start : start + size]
        start += size
    return found


def _located(
    file: Path, name: str, tensor: StoredTensor, storage_bytes: Callable[[str], memoryview]
) -> LazyTensor:
    storage = tensor.storage
    elements = prod(tensor.shape)
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    # A tensor that repeats elements could claim any size.
    if not elements or elements > storage.elements or tensor.offset + last >= storage.elements:
        raise TensorError(
            file,
            name,
            expected=f"to lie within its storage of {storage.elements} elements",
            found=f"shape {list(tensor.shape)} from element {tensor.offset}",
        )
    data = storage_bytes(storage.key)
    width = dtype_bytes(storage.dtype)
    if len(data) != storage.elements * width:
        raise TensorError(
            file,
            name,
            expected=f"a storage of {storage.elements * width} bytes",
            found=f"one of {len(data)}",
        )
    return lazy_tensor(
        file, data[tensor.offset * width :], storage.dtype, tensor.shape, strides=tensor.strides
    )
