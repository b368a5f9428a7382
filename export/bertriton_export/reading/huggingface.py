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
    is_there,
    read_bert_config,
    read_json,
    read_truncation,
    short,
)
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.reading.adapter import require_no_adapter
from bertriton_export.reading.weight_formats import read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import Architecture, LazyTensor
    from bertriton_export.reading.adapter import Adapter

CONFIG_FILE: Final = "config.json"
_LARGEST_LABEL: Final = 2**63  # of those that are numbers, which leaves out infinity and NaN

# LayerNorm parameters as TensorFlow called them; Transformers still reads both.
_OLD_SUFFIX_TO_SUFFIX: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def is_huggingface_folder(path: Path) -> bool:
    """Whether a path looks like something `read_huggingface_folder` reads."""
    return is_there(path / CONFIG_FILE)


def read_huggingface_folder(
    folder: Path, labels: Sequence[str] | None = None, adapter: Adapter | None = None
) -> Checkpoint:
    """Read and check a folder of one of the architectures of `checkpoint.ARCHITECTURES`.

    Args:
        folder: holds config.json, weights (see `weight_formats`) and the tokenizer's files.
        labels: names to use instead of config.json's `id2label`, in the order of the logits.
        adapter: to merge into the weights; with a tokenizer of its own, that is served.

    Raises:
        CheckpointError: a file is missing, unreadable or contradicts another.
        UnsupportedModelError: another architecture, or one with an unknown activation or position scheme.
    """
    file = folder / CONFIG_FILE
    document = read_json(file)
    if adapter:
        document["architectures"] = None  # of the base, which need not be a classifier
    settings = Settings(file, document)
    architecture = architecture_of(settings)
    weights = read_weights(folder)
    require_no_adapter(weights.tensors)
    tensors = _by_current_name(weights.tensors)
    if adapter:
        tensors = adapter.merged(tensors)
    sources = Sources(adapter.folder if adapter and adapter.has_tokenizer else folder)
    reader = TokenizerReader(sources, architecture.model_type)
    config = read_bert_config(settings, architecture, tensors, reads_token_types=reader.reads_token_types)
    tokenizer = reader.read(config)
    return Checkpoint(
        path=folder,
        config=config,
        weights=Weights(config, tensors, weights.file, architecture.own_name),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels)
        if labels is not None
        else _labels(settings, config.num_labels, is_new_head=bool(adapter)),
        problem_type=settings.text("problem_type") or default_problem_type(config.num_labels),
        max_length=reader.longest_text(config, tokenizer),
        sha256=adapter.merged_sha256(weights.sha256) if adapter else weights.sha256,
        truncation=read_truncation(settings, reader.truncation),
        model_type=architecture.model_type,
        source={
            "format": weights.format,
            "architecture": architecture.name,
            **_unfamiliar(settings, architecture),
            **reader.facts,
            **({"base_sha256": weights.sha256, **adapter.facts()} if adapter else {}),
        },
    )


def _unfamiliar(settings: Settings, architecture: Architecture) -> dict[str, str]:
    names = ", ".join(settings.texts("architectures") or [])
    return {"architectures in config.json": names} if names not in {"", architecture.name} else {}


def _by_current_name(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    found: dict[str, LazyTensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(IGNORED_TENSORS):
            continue
        current = _current_name(name)
        if current in found:
            raise TensorError(tensor.file, current, expected="one tensor", found="one more of its older name")
        found[current] = tensor
    return found


def _current_name(name: str) -> str:
    for old, new in _OLD_SUFFIX_TO_SUFFIX.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _labels(config: Settings, num_labels: int, *, is_new_head: bool = False) -> tuple[str, ...]:
    id2label = config.get("id2label")
    # The head may be an adapter's, of another number of labels than the base has names for.
    of_another = is_new_head and isinstance(id2label, dict) and len(id2label) != num_labels
    if id2label is None or of_another:
        return tuple(f"LABEL_{index}" for index in range(num_labels))  # as Transformers calls them
    if not isinstance(id2label, dict) or set(id2label) != {str(index) for index in range(num_labels)}:
        raise CheckpointError(
            config.file,
            f"id2label: expected the keys 0 to {num_labels - 1}, one per row of the classifier, "
            f"found {short(id2label)}",
        )
    for index, label in id2label.items():
        # A number is taken as it is written; bool is one: yes and no of YAML.
        if not is_text(label) and not (isinstance(label, int | float) and abs(label) <= _LARGEST_LABEL):
            raise CheckpointError(config.file, f"id2label {index}: expected a text, found {short(label)}")
    _require_agreement(config, id2label)
    return tuple(str(id2label[str(index)]) for index in range(num_labels))


def _require_agreement(config: Settings, id2label: Mapping[str, object]) -> None:
    """See that label2id gives no label of id2label to another row: which of the two is right, nobody knows.

    A label that stands in one of them alone says nothing: Transformers saves LABEL_0 beside names that were
    set later, and answers by id2label.
    """
    label2id = config.section("label2id")
    for index, label in id2label.items():
        told = label2id.get(str(label), index)
        if isinstance(told, int | str) and str(told) != index:
            raise CheckpointError(
                config.file,
                f"label2id: expected {index} for {short(label)}, as id2label has it, found {short(told)}: "
                "correct the one that is wrong, or give the labels with --labels",
            )
