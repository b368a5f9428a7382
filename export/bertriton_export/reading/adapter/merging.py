"""The tensors of an adapter, and what becomes of its base with them.

PEFT wraps a model, so its names begin with `base_model.model.`. Behind that stand a module's name and either
the two factors of its low-rank update, or a tensor in place of the base's: of the head, of a bias.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton_export.checkpoint import FLOAT_DTYPES, TOKENIZERS, LazyTensor, every_layer, is_there, short
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.hashing import sha256_of
from bertriton_export.reading.adapter.settings import ADAPTER_FILE, AdapterSettings, read_adapter_settings
from bertriton_export.reading.pytorch import torch_tensors
from bertriton_export.reading.safetensors_file import safetensors_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# The first one that is there is read.
ADAPTER_WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin")
_READERS: Final = (safetensors_tensors, torch_tensors)
_TOKENIZER_FILES: Final = ("tokenizer.json", *(name for kind in TOKENIZERS.values() for name in kind.files))

_PREFIX: Final = "base_model.model."
_WRAPPERS: Final = (".modules_to_save.default", ".modules_to_save", ".base_layer")
_UNTRAINED: Final = ".original_module."  # the base's copy of a module that is saved whole
_FACTOR: Final = re.compile(
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.default)?(?:\.(?P<part>weight|bias))?"
)
_OF_LORA: Final = re.compile(r"(^|[._])lora_")


@dataclass
class LowRank:
    """The update of one module: its weight grows by the scaling times B A."""

    a: LazyTensor | None = None  # [rank, inputs]
    b: LazyTensor | None = None  # [outputs, rank]
    bias: LazyTensor | None = None  # [outputs], scaled likewise
    is_embedding: bool = False  # whose weight is [inputs, outputs]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in memory; its tensors are read when they are asked for."""

    folder: Path
    file: Path  # of the tensors
    settings: AdapterSettings
    updates: Mapping[str, LowRank]  # by module
    replacements: Mapping[str, LazyTensor]  # by tensor
    sha256: str  # of configuration and tensors

    @property
    def has_tokenizer(self) -> bool:
        """Whether the folder has the tokenizer, too, that it was trained with."""
        return any(is_there(self.folder / name) for name in _TOKENIZER_FILES)

    def merged_sha256(self, base: str) -> str:
        """Of what the network is made from: the base's weights and this."""
        return hashlib.sha256(f"{base} {self.sha256}".encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """What the manifest tells of it."""
        return {
            "adapter": "LoRA",
            "adapter_rank": self.settings.rank,
            "adapter_alpha": self.settings.alpha,
            "adapter_modules": len(self.updates),
            "adapter_sha256": self.sha256,
        }

    def merged(self, base: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
        """The tensors of the classifier.

        Args:
            base: tensors of the base under the names of its classifier; the head, and the prefix of a model
                without one, may be missing.

        Raises:
            TensorError: the adapter changes what the base has not got, or is of other shapes.
            CheckpointError: it lacks a module that its configuration names.
        """
        tensors = self._with_prefix(base)
        _require_whole(self, tensors)
        for name, tensor in self.replacements.items():
            if name not in tensors and not self.saves_whole(name):
                raise TensorError(
                    tensor.file, name, expected="a tensor of the base", found="none of that name"
                )
        tensors |= self.replacements
        for module, update in self.updates.items():
            tensors |= _updated(module, update, tensors, self.settings.scaling_of(module))
        return tensors

    def saves_whole(self, name: str) -> bool:
        """Whether a tensor is of a module that is saved as it is."""
        return any(_is_within(name, module) for module in self.settings.modules_to_save)

    def _with_prefix(self, base: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
        """The base under the names of a classifier: a model without a head has them without its own name."""
        for module in self.updates:
            prefix, _, rest = module.partition(".")
            if f"{module}.weight" not in base and f"{rest}.weight" in base:
                return {f"{prefix}.{name}": tensor for name, tensor in base.items()}
        return dict(base)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, alone or beside its base."""
    return is_there(folder / ADAPTER_FILE)


def refuse_unconfigured(folder: Path) -> None:
    """See that no adapter lies there that nobody would apply, since nothing says how.

    Raises:
        CheckpointError: one does.
    """
    found = next((name for name in ADAPTER_WEIGHTS if is_there(folder / name)), None)
    if found is not None and not is_adapter(folder):
        raise CheckpointError(
            folder,
            f"holds the adapter {found} but no {ADAPTER_FILE}, which says how it is merged: put that beside "
            "it, or take the adapter away to serve the model without it",
        )


def require_no_adapter(tensors: Mapping[str, LazyTensor]) -> None:
    """See that weights hold no adapter that nobody would apply.

    Raises:
        TensorError: they do.
    """
    for name, tensor in tensors.items():
        if _OF_LORA.search(name):
            raise TensorError(
                tensor.file,
                name,
                expected=f"weights without an adapter, or an adapter beside its {ADAPTER_FILE}",
                found="one of LoRA",
            )


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's configuration and list its tensors.

    Raises:
        CheckpointError: a file is missing or damaged, or holds what is no tensor of LoRA.
        UnsupportedModelError: it is another kind of adapter.
    """
    settings = read_adapter_settings(folder / ADAPTER_FILE)
    for name, read in zip(ADAPTER_WEIGHTS, _READERS, strict=True):
        if is_there(file := folder / name):
            updates, replacements = _sorted_out(file, dict(read(file)))
            _require_ranks(file, settings, updates)
            sha256 = sha256_of([settings.file, file])
            return Adapter(folder, file, settings, updates, replacements, sha256)
    raise CheckpointError(
        folder, f"an adapter without weights: expected {' or '.join(ADAPTER_WEIGHTS)} beside {ADAPTER_FILE}"
    )


def _sorted_out(
    file: Path, tensors: Mapping[str, LazyTensor]
) -> tuple[dict[str, LowRank], dict[str, LazyTensor]]:
    updates: dict[str, LowRank] = {}
    replacements: dict[str, LazyTensor] = {}
    for full_name, tensor in tensors.items():
        if not full_name.startswith(_PREFIX):
            raise TensorError(file, full_name, expected=f"a name that begins with {_PREFIX}", found="another")
        name = full_name.removeprefix(_PREFIX)
        if _UNTRAINED in name:
            continue
        if tensor.dtype not in FLOAT_DTYPES:
            raise TensorError(file, full_name, expected=f"one of {sorted(FLOAT_DTYPES)}", found=tensor.dtype)
        plain = _plain_name(name)
        if factor := _FACTOR.fullmatch(plain):
            _add_factor(updates.setdefault(factor["module"], LowRank()), factor, tensor, full_name)
        elif _OF_LORA.search(plain) or not plain.endswith((".weight", ".bias")):
            raise TensorError(
                file, full_name, expected="a tensor of LoRA, a weight or a bias", found="another"
            )
        elif plain == name or plain not in replacements:
            replacements[plain] = tensor
    return updates, replacements


def _plain_name(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(f"{wrapper}.", ".")
    return name


def _add_factor(update: LowRank, factor: re.Match[str], tensor: LazyTensor, name: str) -> None:
    update.is_embedding = factor["embedding"] is not None
    if factor["part"] == "bias" and factor["side"] == "A":
        raise TensorError(tensor.file, name, expected="no bias of A", found="one")
    place = "bias" if factor["part"] == "bias" else factor["side"].lower()
    if getattr(update, place) is not None:
        raise TensorError(
            tensor.file, name, expected="one such factor of its module", found="one of another name as well"
        )
    setattr(update, place, tensor)


def _require_ranks(file: Path, settings: AdapterSettings, updates: Mapping[str, LowRank]) -> None:
    for module, update in updates.items():
        rank = settings.rank_of(module)
        for side, tensor, axis in (("A", update.a, 0), ("B", update.b, 1)):
            if tensor is None:
                raise TensorError(file, f"{_PREFIX}{module}", expected=f"lora_{side}", found="no such tensor")
            if len(tensor.shape) != 2 or tensor.shape[axis] != rank:  # noqa: PLR2004 (a matrix)
                raise TensorError(
                    file,
                    f"{_PREFIX}{module}.lora_{side}",
                    expected=f"a matrix of rank {rank}, as {ADAPTER_FILE} says",
                    found=f"shape {list(tensor.shape)}",
                )


def _require_whole(adapter: Adapter, base: Mapping[str, LazyTensor]) -> None:
    """See that the file has what the configuration names, and of each layer if of one."""
    modules = {name.removesuffix(".weight") for name in base if name.endswith(".weight")}
    for saved in adapter.settings.modules_to_save:
        lacking = {name for name in base if _is_within(name, saved)} - adapter.replacements.keys()
        if lacking:
            raise CheckpointError(
                adapter.file,
                f"lacks {short(min(lacking))} of the module {short(saved)}, which modules_to_save names",
            )
    for target in adapter.settings.targets:
        meant = {
            module
            for module in modules
            # What is saved whole has no update, though PEFT's all-linear names its layers.
            if f".{module}".endswith(f".{target}") and not adapter.saves_whole(f"{module}.weight")
        }
        found = {every_layer(module) for module in meant & adapter.updates.keys()}
        missed = {module for module in meant if every_layer(module) in found} - adapter.updates.keys()
        if meant and (missed or not found):
            raise CheckpointError(
                adapter.file,
                f"lacks the module {short(min(missed or meant))}, which target_modules names as "
                f"{short(target)}",
            )


def _is_within(name: str, module: str) -> bool:
    """Whether a tensor belongs to a module whose name ends so, be it within a word, as PEFT has it."""
    return f"{module}." in name


def _updated(
    module: str, update: LowRank, tensors: Mapping[str, LazyTensor], scaling: float
) -> Iterator[tuple[str, LazyTensor]]:
    a, b = update.a, update.b
    assert a is not None  # noqa: S101  # see _require_ranks
    assert b is not None  # noqa: S101
    shape = (a.shape[1], b.shape[0]) if update.is_embedding else (b.shape[0], a.shape[1])
    weight = _required(tensors, f"{module}.weight", shape, a.file)
    yield (
        f"{module}.weight",
        LazyTensor(
            weight.file, shape, "F32", partial(_merged_weight, weight, a, b, scaling, update.is_embedding)
        ),
    )
    if update.bias is not None:
        bias = _required(tensors, f"{module}.bias", update.bias.shape, a.file)
        yield (
            f"{module}.bias",
            LazyTensor(bias.file, bias.shape, "F32", partial(_merged_bias, bias, update.bias, scaling)),
        )


def _required(tensors: Mapping[str, LazyTensor], name: str, shape: tuple[int, ...], file: Path) -> LazyTensor:
    found = tensors.get(name)
    if found is None or found.shape != shape or found.dtype not in FLOAT_DTYPES:
        raise TensorError(
            file,
            name,
            expected=f"floats of shape {list(shape)} in the base, to add the adapter to",
            found="none" if found is None else f"{found.dtype} of shape {list(found.shape)}",
        )
    return found


def _merged_weight(
    weight: LazyTensor,
    a: LazyTensor,
    b: LazyTensor,
    scaling: float,
    is_embedding: bool,  # noqa: FBT001
) -> NDArray[np.float32]:
    update = _values(b) @ _values(a) * np.float32(scaling)
    return _values(weight) + (update.T if is_embedding else update)


def _merged_bias(bias: LazyTensor, update: LazyTensor, scaling: float) -> NDArray[np.float32]:
    return _values(bias) + _values(update) * np.float32(scaling)


def _values(tensor: LazyTensor) -> NDArray[np.float32]:
    return tensor.load().astype(np.float32, copy=False)
