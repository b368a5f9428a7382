"""Whose a folder of a model repository is, so that an export replaces its own classifier and nothing else.

A classifier NAME takes three names. Each may be there already: as a classifier of its own, as a part of one
(`a_bert` is the network of `a`), or as a model that this package knows nothing of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract
from bertriton_export.errors import RepositoryError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE: Final = "config.pbtxt"
_SUFFIX_TO_PART: Final = {contract.TOKENIZER_SUFFIX: "tokenizer", contract.BERT_SUFFIX: "network"}


def require_own(repository: Path, name: str) -> None:
    """See that the three folders of a classifier are free, or hold an earlier export of the same name.

    Args:
        repository: the model repository; need not be there.
        name: of the classifier.

    Raises:
        RepositoryError: one of them belongs to somebody else; names the folder and whose it is. Or the
            repository is itself the folder of a model.
    """
    if (repository / CONFIG_FILE).exists():
        raise RepositoryError(
            f"{repository} is the folder of a model, for it holds {CONFIG_FILE}: "
            "give the folder that holds all models (--repository)"
        )
    for folder in (name, *(name + suffix for suffix in _SUFFIX_TO_PART)):
        place = repository / folder
        if not (place.exists() or place.is_symlink()):
            continue
        owner = _owner(repository, folder)
        if owner != name:
            raise RepositoryError(
                f"{place} {_whose(owner, folder)}, and an export of {name!r} would replace it: "
                "export under another name (--name) or into another repository, or remove that model first"
            )


def _owner(repository: Path, folder: str) -> str | None:
    """The classifier that a folder belongs to, None if it is of none."""
    config = _config(repository / folder)
    parameters = _parameters(config)
    if contract.is_classifier(parameters):
        return config.name or folder
    if contract.PART_OF in parameters:
        return parameters[contract.PART_OF]
    # Before contract 2 parts had no mark, but their ensemble names them.
    for suffix in _SUFFIX_TO_PART:
        name = folder.removesuffix(suffix)
        ensemble = _config(repository / name)
        steps = {step.model_name for step in ensemble.ensemble_scheduling.step}
        if name != folder and contract.is_classifier(_parameters(ensemble)) and folder in steps:
            return name
    return None


def _whose(owner: str | None, folder: str) -> str:
    if owner is None:
        return "belongs to a model that bertriton did not export"
    for suffix, part in _SUFFIX_TO_PART.items():
        if folder == owner + suffix:
            return f"is the {part} of the classifier {owner!r}"
    return f"is the classifier {owner!r}" if owner == folder else f"belongs to the classifier {owner!r}"


def _config(folder: Path) -> ModelConfig:
    """The config of a folder, an empty one where it has none that can be read."""
    try:
        text = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        return text_format.Parse(text, ModelConfig(), allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        return ModelConfig()


def _parameters(config: ModelConfig) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}
