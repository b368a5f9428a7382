"""Read `model.safetensors` (https://huggingface.co/docs/safetensors)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from bertriton_export.checkpoint import LazyTensor
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def safetensors_tensors(file: Path) -> Iterator[tuple[str, LazyTensor]]:
    """The tensors of one file under their names.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        opened: Any = safe_open(file, framework="np")
        names = list(opened.keys())
    except (SafetensorError, OSError) as exc:
        raise CheckpointError(file, f"not a whole safetensors file: {exc}") from exc
    for name in names:
        part = opened.get_slice(name)
        yield (
            name,
            LazyTensor(file, tuple(part.get_shape()), part.get_dtype(), partial(_load, file, name)),
        )


def _load(file: Path, name: str) -> NDArray[Any]:
    # Opened anew each time: a mapping kept open would hold every page that was ever read.
    try:
        opened: Any = safe_open(file, framework="np")
        return opened.get_tensor(name)  # type: ignore[no-any-return]
    except (SafetensorError, OSError) as exc:
        raise CheckpointError(file, f"tensor {name!r} cannot be read: {exc}") from exc
