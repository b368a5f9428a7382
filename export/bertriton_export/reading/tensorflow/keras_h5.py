"""Read `tf_model.h5`, the weights that Transformers saves of a Keras model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import h5py

from bertriton_export.checkpoint import LazyTensor, short
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.reading.tensorflow.keras_names import to_huggingface

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_TYPE_TO_DTYPE: Final = {"float64": "F64", "float32": "F32", "float16": "F16"}
_MAX_DEPTH: Final = 50  # Keras has about ten
_OPTIMIZER: Final = "optimizer_weights/"
# The library raises all of these on damaged files.
_LIBRARY_ERRORS: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


def h5_tensors(file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of one file under Hugging Face names.

    Raises:
        CheckpointError: the file is damaged.
        TensorError: a tensor is kept in another file, compressed or in pieces, as Keras never does.
    """
    try:
        opened = h5py.File(file, "r")
        datasets = _datasets(opened)
    except _LIBRARY_ERRORS as exc:
        raise CheckpointError(file, f"not a whole HDF5 file: {exc}") from exc
    seen: dict[str, str] = {}
    for name, dataset in datasets.items():
        if name.startswith(_OPTIMIZER):
            continue
        parameter, tensor = to_huggingface(name, _lazy_tensor(file, name, dataset))
        if parameter in seen:
            raise TensorError(file, parameter, expected="one dataset", found=f"{seen[parameter]} and {name}")
        seen[parameter] = name
        yield parameter, tensor


def _datasets(opened: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:  # noqa: ANN401 (the library has no common type for it)
        if not isinstance(name, str):  # bytes, where it is no UTF-8
            raise TypeError("a name is not text")
        if name.count("/") > _MAX_DEPTH:  # the library takes a minute for thousands
            raise ValueError(f"groups are nested more than {_MAX_DEPTH} deep")
        if isinstance(item, h5py.Dataset):
            found[name] = item

    opened.visititems(visit)  # does not follow links, which may lead to other files
    return found


def _lazy_tensor(file: Path, name: str, dataset: h5py.Dataset) -> LazyTensor:
    try:
        plain = dataset.chunks is None and not dataset.external and not dataset.is_virtual
        shape, dtype = tuple(dataset.shape or ()), str(dataset.dtype)
        stored_bytes = dataset.id.get_storage_size()
    except _LIBRARY_ERRORS as exc:
        raise CheckpointError(file, f"tensor {short(name)} cannot be read: {exc}") from exc
    if not plain or stored_bytes != dataset.nbytes:
        raise TensorError(
            file,
            name,
            expected=f"{dataset.nbytes} bytes in one piece of this file",
            found=f"{stored_bytes} bytes there; others are elsewhere, compressed or missing",
        )
    return LazyTensor(file, shape, _TYPE_TO_DTYPE.get(dtype, dtype), partial(_load, file, name, dataset))


def _load(file: Path, name: str, dataset: h5py.Dataset) -> NDArray[Any]:
    try:
        return dataset[()]  # type: ignore[no-any-return]
    except _LIBRARY_ERRORS as exc:
        raise CheckpointError(file, f"tensor {short(name)} cannot be read: {exc}") from exc
