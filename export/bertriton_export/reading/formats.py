"""The formats a checkpoint may come in, one reader each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import refuse_broken_link, short
from bertriton_export.errors import CheckpointError, OptionError
from bertriton_export.reading.adapter import (
    ADAPTER_FILE,
    is_adapter,
    read_adapter,
    refuse_unconfigured,
)
from bertriton_export.reading.hub import download_checkpoint, hub_model_name, is_hub_id
from bertriton_export.reading.huggingface import is_huggingface_folder, read_huggingface_folder
from bertriton_export.reading.paths import cached_snapshot, refuse_unknown
from bertriton_export.reading.sparknlp import is_sparknlp, read_sparknlp
from bertriton_export.reading.tensorflow import is_saved_model, read_saved_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.reading.adapter import Adapter


_ADDRESSES: Final = ("http:", "https:", "hf:", "huggingface.co/")


@dataclass(frozen=True)
class Reader:
    """One format: how to know it, and how to read it."""

    format: str
    holds: str  # what makes one up, for the README
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Sequence[str] | None], Checkpoint]


READERS: Final = (
    Reader(
        "Hugging Face folder",
        "`config.json`, the tokenizer's files, and weights: `model.safetensors`, `pytorch_model.bin` or "
        "`tf_model.h5`, each also in shards; a TensorFlow checkpoint `variables.*`; or `model.onnx`",
        is_huggingface_folder,
        read_huggingface_folder,
    ),
    Reader(
        "TensorFlow SavedModel",
        "`saved_model.pb`, `variables/`, and `vocab.txt` and `labels.txt` in `assets/`",
        is_saved_model,
        read_saved_model,
    ),
    Reader(
        "Spark NLP model",
        "a saved `BertForSequenceClassification`, TensorFlow or ONNX, alone or in a PipelineModel: the "
        "folder, or the zip as it was downloaded",
        is_sparknlp,
        read_sparknlp,
    ),
)


def read_checkpoint(path: Path, labels: Sequence[str] | None = None, base: str | None = None) -> Checkpoint:
    """Read a checkpoint in whichever format it is, an adapter together with its base.

    A path that exists is read; any other of the form `org/name` or `org/name@revision` comes from the Hugging
    Face hub.

    Args:
        path: of the checkpoint.
        labels: names to use instead of the checkpoint's, in the order of the logits.
        base: what an adapter is merged into, a folder or a hub id; left out: what lies beside the adapter, or
            else what its configuration names.

    Raises:
        CheckpointError: the path does not exist, or is in none of the formats of `READERS`.
        OptionError: a base is given to what is no adapter.
    """
    if not _exists(path):
        if is_hub_id(str(path)):
            return _read_from_hub(str(path), labels, base)
        raise CheckpointError(path, f"no such file or folder{_hint_at_hub_ids(str(path))}")
    _require_plain(path)
    found = cached_snapshot(path)
    if is_adapter(found):
        return _read_adapted(found, labels, base)
    refuse_unconfigured(found)
    if base is not None:
        raise OptionError(f"base is about adapters, and {path} has no {ADAPTER_FILE}")
    for reader in READERS:
        if reader.recognises(found):
            return reader.read(found, labels)
    raise refuse_unknown(path, ", ".join(reader.format for reader in READERS))


def _hint_at_hub_ids(path: str) -> str:
    """What to give instead of a name that is neither a path nor a model's id on the hub."""
    if path.startswith(_ADDRESSES):
        return "; a model of the hub is called org/name, without the address in front"
    return "" if "/" in path else "; a model of the hub is called by its organisation too, org/name"


def _require_plain(path: Path) -> None:
    """See that it is a file or a folder: to open a pipe may take for ever.

    What lies in a folder is looked at by name, where it is asked for: all of it may be a whole disk.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise CheckpointError(path, "is a pipe, a socket or a device, expected a file or a folder")


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()  # one that leads nowhere is refused, and never a hub id
    except OSError as exc:  # a name longer than a file may have, among others
        raise CheckpointError(path, f"cannot be looked at: {exc.strerror}") from exc


def _read_adapted(folder: Path, labels: Sequence[str] | None, base: str | None) -> Checkpoint:
    adapter = read_adapter(folder)
    base_folder, name = _base_of(adapter, base)
    if base_folder != folder and is_adapter(base_folder):
        raise CheckpointError(base_folder, f"expected the base of {folder}, found another adapter")
    if not is_huggingface_folder(base_folder):
        raise CheckpointError(base_folder, f"expected the base of {folder}, a Hugging Face folder")
    checkpoint = read_huggingface_folder(base_folder, labels, adapter)
    return replace(checkpoint, path=folder, source={**checkpoint.source, "base": name})


def _base_of(adapter: Adapter, base: str | None) -> tuple[Path, str]:
    """The folder of an adapter's base, and what it is called."""
    if base is None and is_huggingface_folder(adapter.folder):
        return adapter.folder, adapter.folder.name
    revision = f"@{adapter.settings.revision}" if adapter.settings.revision and base is None else ""
    name = base or adapter.settings.base
    if not name:
        raise CheckpointError(
            adapter.settings.file, "names no base_model_name_or_path: say which with --base"
        )
    if _exists(Path(name)):
        return Path(name), _name_of(Path(name))
    if not is_hub_id(name + revision):
        raise CheckpointError(
            adapter.settings.file,
            f"its base {short(name)} is neither a folder here nor a hub model's id: say where with --base",
        )
    try:
        return download_checkpoint(name + revision), name + revision
    except CheckpointError as exc:
        raise CheckpointError(
            adapter.settings.file, f"its base cannot be had, say where with --base ({exc})"
        ) from exc


def _read_from_hub(hub_id: str, labels: Sequence[str] | None, base: str | None) -> Checkpoint:
    folder = download_checkpoint(hub_id)
    checkpoint = read_checkpoint(folder, labels, base)
    # The cache names a snapshot's folder after its commit.
    return replace(checkpoint, source={**checkpoint.source, "hub": hub_id, "commit": folder.name})


def default_name(checkpoint: str) -> str:
    """What a classifier is called after its checkpoint: the folder's name, the zip's, or the hub model's."""
    path = Path(checkpoint)
    if not _exists(path) and is_hub_id(checkpoint):
        return hub_model_name(checkpoint)
    name = _name_of(path)
    # The cache of the hub calls a model's folder models--org--name.
    return name.rpartition("--")[2] if cached_snapshot(path) != path else name.removesuffix(".zip")


def _name_of(path: Path) -> str:
    """The name of what a path leads to, also where that is `.` or a link."""
    refuse_broken_link(path)  # before Python 3.13 a link to itself would raise a RuntimeError
    return path.resolve().name
