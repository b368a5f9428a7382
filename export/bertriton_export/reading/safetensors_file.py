"""Read `model.safetensors` (https://huggingface.co/docs/safetensors)."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from bertriton_export.checkpoint import LazyTensor, parse_json, short
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.files import map_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_TENSORS: Final = 10_000  # a BERT of 24 layers has about 400
_HEADER_BYTES: Final = struct.Struct("<Q")
# OverflowError where a size is more than the machine can count.
_LIBRARY_ERRORS: Final = (SafetensorError, OSError, ValueError, TypeError, OverflowError)


def safetensors_tensors(file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of one file under their names.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        opened: Any = safe_open(file, framework="np")
        names = opened.keys()
        if len(names) > MAX_TENSORS:
            raise CheckpointError(file, f"{len(names)} tensors, expected at most {MAX_TENSORS}")
        name_to_slice = {name: opened.get_slice(name) for name in names}
    except _LIBRARY_ERRORS as exc:
        raise CheckpointError(file, f"not a whole safetensors file: {exc}") from exc
    _require_each_once(file)
    for name, part in name_to_slice.items():
        shape, dtype = tuple(part.get_shape()), part.get_dtype()
        yield name, LazyTensor(file, shape, dtype, partial(_load, file, name))


def _require_each_once(file: Path) -> None:
    """See that the header has each name once: of two entries the library takes either without a word."""
    view = map_file(file)
    (header_bytes,) = _HEADER_BYTES.unpack_from(view)
    parse_json(file, bytes(view[_HEADER_BYTES.size :][:header_bytes]))


def _load(file: Path, name: str) -> NDArray[Any]:
    # Opened anew each time: a mapping kept open would hold every page that was ever read.
    try:
        opened: Any = safe_open(file, framework="np")
        return opened.get_tensor(name)  # type: ignore[no-any-return]
    except _LIBRARY_ERRORS as exc:
        raise CheckpointError(file, f"tensor {short(name)} cannot be read: {exc}") from exc
