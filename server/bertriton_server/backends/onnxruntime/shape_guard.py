"""No request ends this process by a shape that cannot be counted: it arrives as one without elements.

Triton (2.51) multiplies the dimensions of a tensor in 64 bits, where [1, 2**62 + 1] and [1, 1 - 2**62] int32
are 4 bytes, and takes a request of 4 bytes for whole. Its Python backend then has numpy make an array of
that shape before this backend sees the request. Numpy refuses, nobody catches that, and the process ends
with all that it was to do. So the function of numpy that Triton takes for that is another one here. Triton
looks it up once, when it first needs it; for everybody else numpy is as it was.
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Callable

# The place of PyArray_NewFromDescr in numpy's table of functions for C, which numpy promises not to change.
NEW_FROM_DESCR = 94
MOST_ELEMENTS = 2**56  # of at most 16 bytes, which 63 bits can count; no request is as large

_New = ctypes.PYFUNCTYPE(
    ctypes.c_void_p,
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_ssize_t)),
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p),
)
_kept: list[object] = []  # what C calls must not be collected


def guard_shapes() -> None:
    """Have Triton's Python backend make arrays by `counted`, if it has made none yet."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    # Where pybind11 looks for it, in numpy 1 and 2.
    capsule = np.core.multiarray._ARRAY_API  # type: ignore[attr-defined]  # noqa: SLF001
    table = ctypes.cast(pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    before = table[NEW_FROM_DESCR]
    guarded = _New(counted(_New(before or 0)))
    _kept.append(guarded)
    table[NEW_FROM_DESCR] = ctypes.cast(guarded, ctypes.c_void_p)
    try:
        pb_utils.Tensor("any", np.zeros(1, np.int32))  # for which it looks the function up
    finally:
        table[NEW_FROM_DESCR] = before


def counted(make: Callable[..., int]) -> Callable[..., int]:
    """The function that makes an array, but one without elements where they cannot be counted."""

    def make_counted(kind: Any, descr: Any, rank: int, shape: Any, strides: Any, *others: Any) -> int:  # noqa: ANN401
        sizes = shape[:rank]
        # numpy counts beside a dimension of 0 as well, and Triton takes some below 0 for a few bytes too.
        if min(sizes, default=0) < 0 or prod(size or 1 for size in sizes) > MOST_ELEMENTS:
            shape, strides = (ctypes.c_ssize_t * rank)(), None
        return make(kind, descr, rank, shape, strides, *others)

    return make_counted
