"""The formats a checkpoint may come in, one reader each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError
from bertriton_export.reading.hub import download_checkpoint, hub_model_name, is_hub_id
from bertriton_export.reading.huggingface import is_huggingface_folder, read_huggingface_folder
from bertriton_export.reading.sparknlp import is_sparknlp, read_sparknlp
from bertriton_export.reading.tensorflow import is_saved_model, read_saved_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton_export.checkpoint import Checkpoint


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


def read_checkpoint(path: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read a checkpoint in whichever format it is.

    A path that exists is read; any other of the form `org/name` or `org/name@revision` comes from the Hugging
    Face hub.

    Raises:
        CheckpointError: the path does not exist, or is in none of the formats of `READERS`.
    """
    if not path.exists():
        if is_hub_id(str(path)):
            return _read_from_hub(str(path), labels)
        raise CheckpointError(path, "no such file or folder")
    for reader in READERS:
        if reader.recognises(path):
            return reader.read(path, labels)
    formats = ", ".join(reader.format for reader in READERS)
    raise CheckpointError(path, f"not a checkpoint in a known format ({formats})")


def _read_from_hub(hub_id: str, labels: Sequence[str] | None) -> Checkpoint:
    folder = download_checkpoint(hub_id)
    checkpoint = read_checkpoint(folder, labels)
    # The cache names a snapshot's folder after its commit.
    return replace(checkpoint, source={**checkpoint.source, "hub": hub_id, "commit": folder.name})


def default_name(checkpoint: str) -> str:
    """What a classifier is called after its checkpoint: the folder's name, the zip's, or the hub model's."""
    path = Path(checkpoint)
    if not path.exists() and is_hub_id(checkpoint):
        return hub_model_name(checkpoint)
    return path.resolve().name.removesuffix(".zip")
