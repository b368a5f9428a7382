"""Read a TensorFlow 2 SavedModel of Transformers' `TFBertForSequenceClassification`, without TensorFlow.

    saved_model.pb, variables/        as TensorFlow saves them
    assets/vocab.txt                  the vocabulary; or the tokenizer's files beside saved_model.pb
    assets/labels.txt                 optional: a label a line, in the order of the logits

Where config.json lies beside saved_model.pb, the folder is read as a Hugging Face folder instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import (
    Checkpoint,
    Sources,
    TokenizerReader,
    Weights,
    config_from_shapes,
    default_problem_type,
    is_there,
    longest_text,
)
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.files import Folder, map_file, sha256_of_checkpoint
from bertriton_export.reading.tensorflow.graph import saved_model_facts
from bertriton_export.reading.tensorflow.variables import tree_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT: Final = "TensorFlow SavedModel"
GRAPH_FILE: Final = "saved_model.pb"
VARIABLES: Final = "variables"
ASSETS: Final = "assets"


def is_saved_model(path: Path) -> bool:
    """Whether a path looks like something `read_saved_model` reads."""
    return is_there(path / GRAPH_FILE)


def read_saved_model(folder: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read and check a SavedModel.

    Args:
        folder: holds saved_model.pb, variables and the vocabulary.
        labels: names to use instead of those of assets/labels.txt, in the order of the logits.

    Raises:
        CheckpointError: a file is missing, damaged or contradicts another.
        UnsupportedModelError: the graph is not that of a BERT classifier of Transformers.
    """
    facts = saved_model_facts(map_file(folder / GRAPH_FILE), folder / GRAPH_FILE)
    tensors = dict(tree_tensors(Folder(folder / VARIABLES), VARIABLES))
    config = config_from_shapes(tensors, facts, folder / VARIABLES)
    assets = folder / ASSETS
    reader = TokenizerReader(Sources(assets if is_there(assets / "vocab.txt") else folder))
    tokenizer = reader.read(config)
    max_length = longest_text(folder / GRAPH_FILE, config, tokenizer)
    return Checkpoint(
        path=folder,
        config=config,
        weights=Weights(config, tensors, folder / VARIABLES),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(assets / "labels.txt", config.num_labels),
        problem_type=default_problem_type(config.num_labels),
        max_length=max_length,
        sha256=sha256_of_checkpoint(sorted((folder / VARIABLES).glob(f"{VARIABLES}.*"))),
        source={"format": FORMAT, **reader.facts},
    )


def _labels(file: Path, num_labels: int) -> tuple[str, ...]:
    if not is_there(file):
        return tuple(f"LABEL_{index}" for index in range(num_labels))  # as Transformers calls them
    try:
        return tuple(file.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as exc:
        raise CheckpointError(file, f"not readable as UTF-8 text: {exc}") from exc
