"""Read a Hugging Face folder: config.json, safetensors weights, tokenizer files.

Formats: https://huggingface.co/docs/safetensors and, for several files,
https://huggingface.co/docs/transformers/big_models#sharded-checkpoints.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from bertriton_export.architectures import IGNORED_TENSORS, architecture_of, read_bert_config
from bertriton_export.checkpoint import Checkpoint, LazyTensor, Weights
from bertriton_export.errors import CheckpointError, TensorError
from bertriton_export.heads import default_problem_type
from bertriton_export.json_file import read_json
from bertriton_export.repository import sha256_of
from bertriton_export.tokenizer import read_tokenizer, reads_token_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.bert import BertConfig

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
SHARD_INDEX_FILE: Final = "model.safetensors.index.json"

FLOAT_DTYPES: Final = frozenset({"F16", "BF16", "F32", "F64"})

# LayerNorm parameters as TensorFlow called them; Transformers still reads both.
_OLD_SUFFIX_TO_SUFFIX: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def is_huggingface_folder(path: Path) -> bool:
    """Whether a path looks like something `read_huggingface_folder` reads."""
    return (path / CONFIG_FILE).is_file()


def read_huggingface_folder(folder: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read and check a folder of one of the architectures of `architectures.ARCHITECTURES`.

    Args:
        folder: holds config.json, model.safetensors (or its shards), and the tokenizer's files.
        labels: names to use instead of config.json's `id2label`, in the order of the logits.

    Raises:
        CheckpointError: a file is missing, unreadable or contradicts another.
        UnsupportedModelError: another architecture, or one with an unknown activation or position scheme.
    """
    file = folder / CONFIG_FILE
    document = read_json(file)
    architecture = architecture_of(file, document)
    weight_files = _weight_files(folder)
    tensors = dict(_lazy_tensors(weight_files))
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
        weights=Weights(config, tensors, weight_files[0], architecture.own_name),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(file, document, config.num_labels),
        problem_type=document.get("problem_type") or default_problem_type(config.num_labels),
        max_length=_max_length(folder, config),
        sha256=sha256_of(weight_files),
    )


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).exists():
        return [folder / WEIGHTS_FILE]
    index_file = folder / SHARD_INDEX_FILE
    if not index_file.exists():
        raise CheckpointError(folder, f"neither {WEIGHTS_FILE} nor {SHARD_INDEX_FILE}")
    names = sorted(set(read_json(index_file).get("weight_map", {}).values()))
    for name in names:
        # The index is part of the download: it must not lead anywhere else.
        if not isinstance(name, str) or "/" in name or "\\" in name or not (folder / name).is_file():
            raise CheckpointError(index_file, f"names a shard {name!r} that is not a file of the folder")
    if not names:
        raise CheckpointError(index_file, "its weight_map is empty")
    return [folder / name for name in names]


def _lazy_tensors(files: list[Path]) -> Iterator[tuple[str, LazyTensor]]:
    for file in files:
        try:
            opened: Any = safe_open(file, framework="np")
            names = list(opened.keys())
        except (SafetensorError, OSError) as exc:
            raise CheckpointError(file, f"not a whole safetensors file: {exc}") from exc
        for name in names:
            if not name.startswith(IGNORED_TENSORS):
                yield _current_name(name), _lazy_tensor(file, opened, name)


def _current_name(name: str) -> str:
    for old, new in _OLD_SUFFIX_TO_SUFFIX.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _lazy_tensor(file: Path, opened: Any, name: str) -> LazyTensor:  # noqa: ANN401 (the library has no type for it)
    part = opened.get_slice(name)
    dtype = part.get_dtype()
    if dtype not in FLOAT_DTYPES:
        raise TensorError(file, name, expected=f"one of {sorted(FLOAT_DTYPES)}", found=dtype)
    return LazyTensor(file, tuple(part.get_shape()), dtype, partial(_load, file, opened, name))


def _load(file: Path, opened: Any, name: str) -> NDArray[Any]:  # noqa: ANN401
    try:
        return opened.get_tensor(name)  # type: ignore[no-any-return]
    except (SafetensorError, OSError) as exc:
        raise CheckpointError(file, f"tensor {name!r} cannot be read: {exc}") from exc


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
