"""Why a network refuses a row: it answers NaN, and this finds what is wrong with the request.

An ONNX file that scores rows it does not take as NaN says in its metadata, under `row_limits`, which values
its inputs may have: {"input_ids": [0, 30521], "position_ids": [-3, 511]}. The last input is the one whose
values number a row's elements.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

Array = Any  # of numpy
Named = dict[str, Array]  # tensors by name, [rows, ...] each

SHOWN_ELEMENTS = 8
LIMITS_KEY = "row_limits"


class Refusals:
    """What one network refuses; nothing where its file says nothing.

    Args:
        metadata: of the ONNX file.
    """

    def __init__(self, metadata: dict[str, str]) -> None:
        self.limits: dict[str, list[int]] = json.loads(metadata.get(LIMITS_KEY, "{}"))

    def reason(self, named: Named, answer: Named) -> str | None:
        """Why a request is refused, from its inputs and its answer; None where it is not."""
        if not self.limits:
            return None
        for array in answer.values():
            if array.dtype.kind == "f" and array.size and math.isnan(array.min()):
                row = int(np.flatnonzero(np.isnan(array).reshape(len(array), -1).any(axis=1))[0])
                return self.fault({name: named[name][row].reshape(-1) for name in named}, row)
        return None

    def emptiness(self, named: Named) -> str | None:
        """Why a request is refused before it runs: none of its rows holds anything, in one of the inputs."""
        has_none = self.limits and any(array.size == 0 for array in named.values())
        return self.fault({name: named[name][0].reshape(-1) for name in named}, 0) if has_none else None

    def fault(self, of_row: Named, row: int) -> str:
        """What is wrong with one row, whose tensors are [elements] each."""
        sizes = {name: len(array) for name, array in of_row.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            found = ", ".join(f"{size} in {name}" for name, size in sizes.items())
            return f"row {row}: expected as many elements in every input, and one at least, found {found}"
        for name, (low, high) in self.limits.items():
            values = of_row.get(name, np.empty(0, np.int32))
            outside = np.flatnonzero((values < low) | (values > high))
            if len(outside):
                return f"{name}: row {row} has {values[outside[0]]} at {outside[0]}, expected {low} to {high}"
        name = [*self.limits][-1]
        start = of_row[name][:SHOWN_ELEMENTS].tolist()
        return (
            f"{name}: row {row} does not count its elements from 0 on, with padding at its end alone; "
            f"it begins with {start}"
        )
