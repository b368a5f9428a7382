"""Read a Hugging Face folder: config.json, weights in any of their formats, tokenizer files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bertriton_export.bert import HIDDEN_ACT_TO_ACTIVATION, BertConfig
from bertriton_export.checkpoint import Checkpoint, Weights
from bertriton_export.errors import CheckpointError, TensorError, UnsupportedModelError
from bertriton_export.heads import default_problem_type
from bertriton_export.huggingface_weights import read_weights
from bertriton_export.json_file import read_json
from bertriton_export.tokenizer import read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import LazyTensor

CONFIG_FILE: Final = "config.json"

# BertConfig's defaults in Transformers, for keys that old config.json files leave out.
DEFAULT_LAYER_NORM_EPS: Final = 1e-12
DEFAULT_TYPE_VOCAB_SIZE: Final = 2

# Present in many checkpoints, without effect on a classifier: a buffer, and the heads of pre-training.
_IGNORED_TENSORS: Final = ("bert.embeddings.position_ids", "cls.")
# LayerNorm parameters as TensorFlow called them; Transformers still reads both.
_OLD_SUFFIX_TO_SUFFIX: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def is_huggingface_folder(path: Path) -> bool:
    """Whether a path looks like something `read_huggingface_folder` reads."""
    return (path / CONFIG_FILE).is_file()


def read_huggingface_folder(folder: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read and check a `BertForSequenceClassification` folder.

    Args:
        folder: holds config.json, weights (see `huggingface_weights`) and the tokenizer's files.
        labels: names to use instead of config.json's `id2label`, in the order of the logits.

    Raises:
        CheckpointError: a file is missing, unreadable or contradicts another.
        UnsupportedModelError: another architecture, or one with an unknown activation or position scheme.
    """
    file = folder / CONFIG_FILE
    document = read_json(file)
    _refuse_unsupported(file, document)
    weights = read_weights(folder)
    tensors = {
        _current_name(name): tensor
        for name, tensor in weights.tensors.items()
        if not name.startswith(_IGNORED_TENSORS)
    }
    config = _bert_config(file, document, tensors)
    tokenizer = read_tokenizer(folder, config.vocab_size)
    return Checkpoint(
        path=folder,
        config=config,
        weights=Weights(config, tensors, weights.file),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(file, document, config.num_labels),
        problem_type=document.get("problem_type") or default_problem_type(config.num_labels),
        max_length=_max_length(folder, config),
        sha256=weights.sha256,
        source={"format": weights.format},
    )


def _refuse_unsupported(file: Path, document: dict[str, Any]) -> None:
    architectures = document.get("architectures") or ["BertForSequenceClassification"]
    if document.get("model_type") != "bert" or "BertForSequenceClassification" not in architectures:
        raise UnsupportedModelError(
            f"{file}: expected model_type 'bert' and architecture BertForSequenceClassification, "
            f"found {document.get('model_type')!r} and {architectures}"
        )
    positions = document.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise UnsupportedModelError(f"{file}: position_embedding_type {positions!r}, expected 'absolute'")
    if document.get("hidden_act") not in HIDDEN_ACT_TO_ACTIVATION:
        raise UnsupportedModelError(
            f"{file}: hidden_act {document.get('hidden_act')!r}, "
            f"expected one of {sorted(HIDDEN_ACT_TO_ACTIVATION)}"
        )
    if document.get("is_decoder"):
        raise UnsupportedModelError(f"{file}: is_decoder is set; attention would be causal")


def _bert_config(file: Path, document: dict[str, Any], tensors: dict[str, LazyTensor]) -> BertConfig:
    def size(key: str, default: int | None = None) -> int:
        value = document.get(key, default)
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(file, f"{key}: expected a positive whole number, found {value!r}")
        return value

    classifier = tensors.get("classifier.bias")
    if classifier is None:
        raise TensorError(file, "classifier.bias", expected="a classification head", found="no such tensor")
    config = BertConfig(
        vocab_size=size("vocab_size"),
        hidden_size=size("hidden_size"),
        num_hidden_layers=size("num_hidden_layers"),
        num_attention_heads=size("num_attention_heads"),
        intermediate_size=size("intermediate_size"),
        max_position_embeddings=size("max_position_embeddings"),
        type_vocab_size=size("type_vocab_size", DEFAULT_TYPE_VOCAB_SIZE),
        layer_norm_eps=float(document.get("layer_norm_eps", DEFAULT_LAYER_NORM_EPS)),
        activation=HIDDEN_ACT_TO_ACTIVATION[document["hidden_act"]],
        num_labels=classifier.shape[0],
    )
    if config.hidden_size % config.num_attention_heads:
        raise CheckpointError(
            file,
            f"hidden_size {config.hidden_size} is no multiple of "
            f"num_attention_heads {config.num_attention_heads}",
        )
    return config


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
    return min(
        int(settings.get("model_max_length", config.max_position_embeddings)), config.max_position_embeddings
    )
