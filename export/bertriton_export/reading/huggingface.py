"""Read a Hugging Face folder: config.json, weights in any of their formats, tokenizer files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import (
    IGNORED_TENSORS,
    Checkpoint,
    Settings,
    Sources,
    TokenizerReader,
    Weights,
    architecture_of,
    default_problem_type,
    is_text,
    read_bert_config,
    read_json,
    read_truncation,
    short,
)
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.weight_formats import read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import Architecture

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
    settings = Settings(file, read_json(file))
    architecture = architecture_of(settings)
    weights = read_weights(folder)
    tensors = {
        _current_name(name): tensor
        for name, tensor in weights.tensors.items()
        if not name.startswith(IGNORED_TENSORS)
    }
    reader = TokenizerReader(Sources(folder), architecture.model_type)
    config = read_bert_config(settings, architecture, tensors, reads_token_types=reader.reads_token_types)
    tokenizer = reader.read(config.vocab_size)
    return Checkpoint(
        path=folder,
        config=config,
        weights=Weights(config, tensors, weights.file, architecture.own_name),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(settings, config.num_labels),
        problem_type=settings.text("problem_type") or default_problem_type(config.num_labels),
        max_length=reader.longest_text(config, tokenizer),
        sha256=weights.sha256,
        truncation=read_truncation(settings, reader.truncation),
        source={
            "format": weights.format,
            "architecture": architecture.name,
            **_unfamiliar(settings, architecture),
            **reader.facts,
        },
    )


def _unfamiliar(settings: Settings, architecture: Architecture) -> dict[str, str]:
    names = ", ".join(settings.texts("architectures") or [])
    return {"architectures in config.json": names} if names not in {"", architecture.name} else {}


def _current_name(name: str) -> str:
    for old, new in _OLD_SUFFIX_TO_SUFFIX.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _labels(config: Settings, num_labels: int) -> tuple[str, ...]:
    id2label = config.get("id2label")
    if id2label is None:
        return tuple(f"LABEL_{index}" for index in range(num_labels))  # as Transformers calls them
    if not isinstance(id2label, dict) or set(id2label) != {str(index) for index in range(num_labels)}:
        raise CheckpointError(
            config.file,
            f"id2label: expected the keys 0 to {num_labels - 1}, one per row of the classifier, "
            f"found {short(id2label)}",
        )
    for index, label in id2label.items():
        if not is_text(label) and not isinstance(label, int | float):  # bool is one: yes and no of YAML
            raise CheckpointError(config.file, f"id2label {index}: expected a text, found {short(label)}")
    return tuple(str(id2label[str(index)]) for index in range(num_labels))
