"""Bytes and floats as they lie in a file: mapped into memory, so that only what is used is read."""

from __future__ import annotations

import io
import mmap
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from bertriton_export.checkpoint import LazyTensor, is_there
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Names as in safetensors; BF16, which numpy does not have, is read as the upper half of a float32.
# Integers occur as buffers beside the weights (position_ids).
DTYPE_TO_STORED: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_BF16_SHIFT_BITS: Final = 16
MAX_LINE_BYTES: Final = 4096  # of text in a binary file: a pickle names its globals so


def map_file(file: Path) -> memoryview:
    """The bytes of a file.

    Raises:
        CheckpointError: it cannot be opened or mapped, or is a pipe, a socket or a device.
    """
    is_there(file)  # where it is no file, this raises: a pipe would be waited for
    try:
        with file.open("rb") as opened:
            return map_open_file(opened)
    except (OSError, ValueError) as exc:
        raise CheckpointError(file, f"cannot be read: {exc}") from exc


def sha256_of_checkpoint(files: Sequence[Path]) -> str:
    """The sha256 of a checkpoint's weight files.

    Raises:
        CheckpointError: one cannot be read, or is a pipe, a socket or a device.
    """
    for file in files:
        is_there(file)
    try:
        return sha256_of(files)
    except OSError as exc:
        raise CheckpointError(Path(exc.filename or files[0]), f"cannot be read: {exc.strerror}") from exc


def map_open_file(opened: IO[bytes]) -> memoryview:
    """The bytes of an open file, which may be closed or even deleted afterwards."""
    size = opened.seek(0, io.SEEK_END)
    return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")


def release_pages(view: memoryview) -> None:
    """Give back the memory of what was read of a mapped file; it is read again where it is needed again."""
    if isinstance(view.obj, mmap.mmap):
        view.obj.madvise(mmap.MADV_DONTNEED)


def dtype_bytes(dtype: str) -> int:
    """Bytes of one element."""
    return np.dtype(DTYPE_TO_STORED[dtype]).itemsize


def lazy_tensor(
    file: Path,
    view: memoryview,
    dtype: str,
    shape: tuple[int, ...],
    *,
    strides: Sequence[int] | None = None,
) -> LazyTensor:
    """A tensor that begins where `view` does.

    Args:
        file: to name in messages.
        view: at least as many bytes as the shape needs; the caller has checked.
        dtype: one of DTYPE_TO_STORED.
        shape: its dimensions.
        strides: elements from one index to the next in each dimension; default: row by row.
    """
    return LazyTensor(file, shape, dtype, partial(_load, view, dtype, shape, strides))


def _load(
    view: memoryview, dtype: str, shape: tuple[int, ...], strides: Sequence[int] | None
) -> NDArray[Any]:
    stored = np.dtype(DTYPE_TO_STORED[dtype])
    in_bytes = [stride * stored.itemsize for stride in strides] if strides is not None else None
    array: NDArray[Any] = np.ndarray(shape, stored, view, 0, in_bytes)
    if dtype == "BF16":
        return (array.astype(np.uint32) << _BF16_SHIFT_BITS).view(np.float32)
    return array


def transposed(tensor: LazyTensor) -> LazyTensor:
    """The tensor with its two dimensions swapped."""
    return LazyTensor(tensor.file, tensor.shape[::-1], tensor.dtype, lambda: tensor.load().T)


def byte_size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of a tensor that lies row by row."""
    return prod(shape) * dtype_bytes(dtype)


def require_whole(
    view: memoryview, dtype: str, shape: Sequence[int], *, listed_in: Path, name: str, where: str
) -> None:
    """See that bytes are those of one whole tensor that lies row by row.

    Args:
        view: the bytes.
        dtype: one of DTYPE_TO_STORED.
        shape: its dimensions.
        listed_in: the file that tells of the tensor.
        name: of the tensor.
        where: to say in the message which bytes were looked at.

    Raises:
        TensorError: they are more or fewer.
    """
    if len(view) != byte_size(dtype, shape):
        expected, found = f"{byte_size(dtype, shape)} bytes {where}", f"{len(view)} bytes"
        raise TensorError(listed_in, name, expected=expected, found=found)


class ViewReader(io.RawIOBase):
    """Mapped bytes as a file, for libraries that want one."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere, never before the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if start + offset < 0:
            raise ValueError("seek before the start")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from here on, at most `size`: memory is taken for what is there, not for what is asked."""
        end = len(self._view) if size is None or size < 0 else self._position + size
        part = bytes(self._view[self._position : end])
        self._position += len(part)
        return part

    def readline(self, size: int | None = -1) -> bytes:
        """One line, of at most MAX_LINE_BYTES."""
        most = MAX_LINE_BYTES if size is None or size < 0 else min(size, MAX_LINE_BYTES)
        start = bytes(self._view[self._position : self._position + most])
        return self.read(start.find(b"\n") + 1 or most)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (anything writable)
        """Fill the buffer as far as bytes are left."""
        part = self._view[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)
