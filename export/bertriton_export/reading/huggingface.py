"""Read a Hugging Face folder: config.json, weights in any of their formats, tokenizer files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton_export.checkpoint import (
    IGNORED_TENSORS,
    Checkpoint,
    Weights,
    architecture_of,
    default_problem_type,
    read_bert_config,
    read_json,
    read_tokenizer,
    reads_token_types,
)
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.weight_formats import read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import BertConfig

CONFIG_FILE: Final = "config.json"

# LayerNorm parameters as TensorFlow called them; Transformers still reads both.
_OLD_SUFFIX_TO_SUFFIX: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def is_huggingface_folder(path: Path) -> bool:
    """Whether a path looks like something `read_huggingface_folder` reads."""
    return (path / CONFIG_FILE).is_file()


def read_huggingface_folder(folder: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read and check a folder of one of the architectures of `checkpoint.ARCHITECTURES`.

    Args:
        folder: holds config.json, weights (see `weight_formats`) and the tokenizer's files.
        labels: names to use instead of config.json's `id2label`, in the order of the logits.

    Raises:
        CheckpointError: a file is missing, unreadable or contradicts another.
        UnsupportedModelError: another architecture, or one with an unknown activation or position scheme.
    """
    file = folder / CONFIG_FILE
    document = read_json(file)
    architecture = architecture_of(file, document)
    weights = read_weights(folder)
    tensors = {
        _current_name(name): tensor
        for name, tensor in weights.tensors.items()
        if not name.startswith(IGNORED_TENSORS)
    }
    config = read_bert_config(
        file,
        document,
        architecture,
        tensors,
        reads_token_types=reads_token_types(folder, architecture.model_type),
    )
    tokenizer = read_tokenizer(folder, config.vocab_size, architecture.model_type)
    return Checkpoint(
        path=folder,
        config=config,
        weights=Weights(config, tensors, weights.file, architecture.own_name),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(file, document, config.num_labels),
        problem_type=document.get("problem_type") or default_problem_type(config.num_labels),
        max_length=_max_length(folder, config),
        sha256=weights.sha256,
        source={"format": weights.format, "architecture": architecture.name},
    )


def _current_name(name: str) -> str:
    for old, new in _OLD_SUFFIX_TO_SUFFIX.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _labels(file: Path, document: dict[str, Any], num_labels: int) -> tuple[str, ...]:
    id2label = document.get("id2label")
    if id2label is None:
        return tuple(f"LABEL_{index}" for index in range(num_labels))  # as Transformers calls them
    if not isinstance(id2label, dict) or set(id2label) != {str(index) for index in range(num_labels)}:
        raise CheckpointError(
            file,
            f"id2label: expected the keys 0 to {num_labels - 1}, one per row of the classifier, "
            f"found {id2label}",
        )
    return tuple(str(id2label[str(index)]) for index in range(num_labels))


def _max_length(folder: Path, config: BertConfig) -> int:
    settings_file = folder / "tokenizer_config.json"
    settings = read_json(settings_file) if settings_file.exists() else {}
    return min(int(settings.get("model_max_length", config.longest_text)), config.longest_text)
