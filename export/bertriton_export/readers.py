"""The formats a checkpoint may come in, one reader each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import CheckpointError
from bertriton_export.huggingface import is_huggingface_folder, read_huggingface_folder
from bertriton_export.saved_model import is_saved_model, read_saved_model
from bertriton_export.sparknlp import is_sparknlp, read_sparknlp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint


@dataclass(frozen=True)
class Reader:
    """One format: how to know it, and how to read it."""

    format: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Sequence[str] | None], Checkpoint]


READERS: Final = (
    Reader("Hugging Face folder", is_huggingface_folder, read_huggingface_folder),
    Reader("TensorFlow SavedModel", is_saved_model, read_saved_model),
    Reader("Spark NLP model", is_sparknlp, read_sparknlp),
)


def read_checkpoint(path: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read a checkpoint in whichever format it is.

    Raises:
        CheckpointError: the path does not exist or is in none of the formats of `READERS`.
    """
    if not path.exists():
        raise CheckpointError(path, "no such file or folder")
    for reader in READERS:
        if reader.recognises(path):
            return reader.read(path, labels)
    formats = ", ".join(reader.format for reader in READERS)
    raise CheckpointError(path, f"not a checkpoint in a known format ({formats})")
