"""The weights of a checkpoint: each lies in its file until it is asked for, and all are checked once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton_export.checkpoint.dimensions import tensor_shapes
from bertriton_export.errors import CheckpointError, TensorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.checkpoint.dimensions import BertConfig

# In the names of tensors that change what the others mean (peft, adapters).
_ADAPTER_PARTS: Final = ("lora_", ".base_layer.", "adapter")
_NUMBER: Final = re.compile(r"\b\d+\b")
FLOAT_DTYPES: Final = frozenset({"F16", "BF16", "F32", "F64"})  # as safetensors calls them


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that stays in its file until it is asked for."""

    file: Path
    shape: tuple[int, ...]
    dtype: str  # one of FLOAT_DTYPES, or another type that `Weights` refuses
    load: Callable[[], NDArray[Any]]  # any float type


def taken_apart(
    tensors: Mapping[str, LazyTensor],
    stacked: Iterable[tuple[str, Sequence[str], tuple[int, ...]]],
    source: Path,
) -> dict[str, LazyTensor]:
    """The tensors of a checkpoint, with those that lie one below the other in one tensor by themselves.

    Args:
        tensors: as they were read.
        stacked: name of a tensor, the names of what it holds from the first row on, and the shape of each.
        source: the checkpoint, which is named where a tensor is missing.

    Raises:
        TensorError: one of the stacked is missing or of a wrong shape.
    """
    found = dict(tensors)
    for name, parts, shape in stacked:
        whole, expected = found.pop(name, None), (len(parts) * shape[0], *shape[1:])
        if whole is None or whole.shape != expected:
            file, seen = (whole.file, f"shape {list(whole.shape)}") if whole else (source, "no such tensor")
            raise TensorError(file, name, expected=f"shape {list(expected)}", found=seen)
        found |= {part: _rows(whole, index * shape[0], shape) for index, part in enumerate(parts)}
    return found


def _rows(whole: LazyTensor, first: int, shape: tuple[int, ...]) -> LazyTensor:
    """A part of a tensor, of so many rows from the first one on."""
    return replace(whole, shape=shape, load=lambda: whole.load()[first : first + shape[0]])


def _require(name: str, shape: tuple[int, ...], tensors: Mapping[str, LazyTensor], source: Path) -> None:
    """See that a tensor is there, of its shape and of floats."""
    if name not in tensors:
        raise TensorError(source, name, expected=f"shape {list(shape)}", found="no such tensor")
    found = tensors[name]
    if found.shape != shape:
        expected = f"shape {list(shape)}"
        raise TensorError(found.file, name, expected=expected, found=f"shape {list(found.shape)}")
    if found.dtype not in FLOAT_DTYPES:
        raise TensorError(found.file, name, expected=f"one of {sorted(FLOAT_DTYPES)}", found=found.dtype)


def _refuse_what_would_answer(
    unused: Iterable[str], read: Iterable[str], tensors: Mapping[str, LazyTensor], layers: int
) -> None:
    """See that no tensor is left over without which the model would answer otherwise.

    Transformers leaves out the layers that a configuration does not count, and says so; but what it saves
    always has as many as are counted, so that one of the two was changed or damaged.
    """
    of_layers = {every_layer(name) for name in read}
    for name in unused:
        if any(part in name for part in _ADAPTER_PARTS):
            raise TensorError(
                tensors[name].file,
                name,
                expected="only a classifier's tensors",
                found="an adapter's tensor, without which the model would answer otherwise",
            )
        if every_layer(name) in of_layers:
            raise TensorError(
                tensors[name].file,
                name,
                expected=f"no layer beyond the {layers} that the configuration counts",
                found="one more: correct the count, or save the model again without that layer",
            )


def every_layer(name: str) -> str:
    """A name without the number of its layer."""
    return _NUMBER.sub("#", name)


class Weights:
    """The weights of one classifier, each read when asked for, so that memory holds only one.

    Construction checks every name and shape against the configuration; nothing after it meets a missing
    or misshapen tensor.

    Args:
        config: the dimensions to check against.
        tensors: under the names of their checkpoint.
        source: the file to name when a tensor is missing altogether.
        own_name: gives the checkpoint's name of a tensor, where that is not BERT's.

    Attributes:
        unused: names of tensors that no classifier of these dimensions has, as Transformers ignores them.

    Raises:
        TensorError: a tensor is missing, has another shape or type, or is an adapter's or of a further layer.
        CheckpointError: the configuration tells of more layers than there are tensors.
    """

    def __init__(
        self,
        config: BertConfig,
        tensors: Mapping[str, LazyTensor],
        source: Path,
        own_name: Callable[[str], str] = str,
    ) -> None:
        if config.num_stored_layers > len(tensors):  # before a name is made for each of their tensors
            raise CheckpointError(
                source, f"{len(tensors)} tensors cannot be those of {config.num_stored_layers} layers"
            )
        as_stored = tensors.keys()
        tensors = config.taken_apart(tensors, source)
        stacked = as_stored - tensors.keys()
        name_to_own = {name: own_name(name) for name in tensor_shapes(config)}
        expected = {name_to_own[name]: shape for name, shape in tensor_shapes(config).items()}
        for name, shape in expected.items():
            _require(name, shape, tensors, source)
        self.unused = tuple(sorted(tensors.keys() - expected.keys()))
        _refuse_what_would_answer(self.unused, expected.keys() | stacked, tensors, config.num_stored_layers)
        self._tensors = {name: tensors[own] for name, own in name_to_own.items()}
        self._name_to_own = name_to_own

    def __iter__(self) -> Iterator[str]:
        """The names of the tensors."""
        return iter(self._tensors)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32.

        Raises:
            TensorError: it holds a value that is not finite.
        """
        tensor = self._tensors[name]
        array = tensor.load().astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            own = self._name_to_own[name]
            raise TensorError(tensor.file, own, expected="finite values", found="NaN or infinity")
        return array
