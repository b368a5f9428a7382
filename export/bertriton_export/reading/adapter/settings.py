"""What an `adapter_config.json` of PEFT says.

Its keys are those of `LoraConfig` (https://huggingface.co/docs/peft/package_reference/lora). The tensors tell
which modules are adapted; of the keys, rank and alpha say by how much. Keys that change the answer in another
way are refused by name, and so is a key that is not known here and says anything.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bertriton_export.checkpoint import Settings, read_json, require_number, short
from bertriton_export.errors import CheckpointError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NumberT = TypeVar("NumberT", int, float)

ADAPTER_FILE: Final = "adapter_config.json"
LORA: Final = "LORA"  # as PEFT writes it
_CLASSIFIER_TASK: Final = "SEQ_CLS"

WAY_OUT: Final = "merge it with PEFT (`merge_and_unload`), save the model with its tokenizer, and export that"

# What these name is computed in another way than base + B A.
_REFUSED_KEY_TO_NAME: Final = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "trainable tokens",
    "target_parameters": "LoRA of single parameters",
    "megatron_config": "the parallel layers of Megatron",
    "enable_lora": "LoRA of merged layers",
}
# These are read, or changed training alone, or say where the tensors came from.
_KNOWN_KEYS: Final = frozenset(
    {
        *("peft_type", "task_type", "auto_mapping", "peft_version", "inference_mode", "runtime_config"),
        *("base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern"),
        *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"),
        *("use_rslora", "bias", "lora_bias", "fan_in_fan_out", "ensure_weight_tying", "lora_dropout"),
        *("init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config"),
        *("megatron_core", "qalora_group_size", "merge_weights"),
    }
)
# Beginnings of training that leave the base as it is; others, as PiSSA, take something away from it.
_INITIALISATIONS: Final = (True, False, "gaussian", "eva", "orthogonal")

# A stranger wrote the patterns: none that could take Python's `re` for ever over a module's name.
_MAX_PATTERN_CHARACTERS: Final = 200
_MAX_QUANTIFIERS: Final = 2
_QUANTIFIER: Final = re.compile(r"(?<!\\)[*+?{]")
_QUANTIFIED_GROUP: Final = re.compile(r"\)[*+?{]")


@dataclass(frozen=True)
class AdapterSettings:
    """One LoRA adapter, as its configuration has it."""

    file: Path
    base: str | None  # a folder, or a model of the hub
    revision: str | None  # of the base
    rank: int
    alpha: float
    is_rank_stabilised: bool  # alpha is divided by the root of the rank
    rank_pattern: Mapping[str, int]  # regular expression of a module's name -> its own rank
    alpha_pattern: Mapping[str, float]
    targets: tuple[str, ...]  # ends of names of adapted modules; () where they are described otherwise
    modules_to_save: tuple[str, ...]  # ends of names of modules that are saved whole

    def rank_of(self, module: str) -> int:
        """The rank of a module's adapter."""
        return next(self._values(module, self.rank_pattern), self.rank)

    def scaling_of(self, module: str) -> float:
        """What B A is multiplied by (Hu et al. 2021, LoRA, section 4.1; Kalajdzievski 2023, rsLoRA)."""
        rank = self.rank_of(module)
        divisor = math.sqrt(rank) if self.is_rank_stabilised else rank
        return next(self._values(module, self.alpha_pattern), self.alpha) / divisor

    def _values(self, module: str, patterns: Mapping[str, NumberT]) -> Iterator[NumberT]:
        """The values of the patterns that a module's name is of; the first counts."""
        return (value for pattern, value in patterns.items() if _matcher(pattern).match(module))


def read_adapter_settings(file: Path) -> AdapterSettings:
    """Read an `adapter_config.json`.

    Raises:
        CheckpointError: it is unreadable, or a value is of a wrong kind.
        UnsupportedModelError: it is no LoRA of a text classifier, or one that is computed in another way.
    """
    document = read_json(file)
    settings = Settings(file, document)
    _refuse_unsupported(settings, document)
    targets = document.get("target_modules")
    limits = (document.get(key) for key in ("layers_to_transform", "exclude_modules"))
    names = isinstance(targets, list) and all(limit in (None, [], "") for limit in limits)
    return AdapterSettings(
        file=file,
        base=settings.text("base_model_name_or_path"),
        revision=settings.text("revision"),
        rank=settings.size("r"),
        alpha=require_number(file, "lora_alpha", document.get("lora_alpha")),
        is_rank_stabilised=bool(settings.flag("use_rslora", default=False)),
        rank_pattern={key: _rank(settings, key) for key in _patterns(settings, "rank_pattern")},
        alpha_pattern={
            key: require_number(file, f"alpha_pattern {short(key)}", value)
            for key, value in _patterns(settings, "alpha_pattern").items()
        },
        targets=tuple(settings.texts("target_modules") or ()) if names else (),
        modules_to_save=tuple(settings.texts("modules_to_save") or ()),
    )


def _rank(settings: Settings, pattern: str) -> int:
    return Settings(settings.file, settings.section("rank_pattern")).size(pattern)


def _refuse_unsupported(settings: Settings, document: Mapping[str, Any]) -> None:
    kind, task = settings.text("peft_type"), settings.text("task_type")
    if kind is None:
        raise UnsupportedModelError(
            f"{settings.file}: no peft_type, so no adapter of PEFT's; one of another library, as "
            "AdapterHub's, is not merged here: merge it with that one, save the model with its tokenizer, "
            "and export that"
        )
    if kind != LORA:
        raise UnsupportedModelError(
            f"{settings.file}: an adapter of peft_type {short(kind)}, and only {LORA} can be merged here: "
            f"{WAY_OUT}"
        )
    if task not in (None, _CLASSIFIER_TASK):
        raise UnsupportedModelError(
            f"{settings.file}: an adapter of task_type {short(task)}, expected {_CLASSIFIER_TASK}"
        )
    for key, name in _REFUSED_KEY_TO_NAME.items():
        if document.get(key):
            raise UnsupportedModelError(
                f"{settings.file}: {key} {short(document[key])}: {name} is not merged here: {WAY_OUT}"
            )
    begun = document.get("init_lora_weights", True)
    if not any(
        begun is allowed or (isinstance(begun, str) and begun == allowed) for allowed in _INITIALISATIONS
    ):
        raise UnsupportedModelError(
            f"{settings.file}: init_lora_weights {short(begun)} changes the base as well, so that it is not "
            f"the model that is named: {WAY_OUT}"
        )
    for key in sorted(document.keys() - _KNOWN_KEYS - _REFUSED_KEY_TO_NAME.keys()):
        if document[key] not in (None, False, "", [], {}):
            raise UnsupportedModelError(
                f"{settings.file}: {short(key)} {short(document[key])} is not a setting of LoRA that is "
                f"known here, and may change the answer: {WAY_OUT}"
            )


def _patterns(settings: Settings, key: str) -> dict[str, Any]:
    section = settings.section(key)
    for pattern in section:
        _require_simple(settings.file, key, pattern)
    return section


def _require_simple(file: Path, key: str, pattern: str) -> None:
    too_much = (
        len(pattern) > _MAX_PATTERN_CHARACTERS
        or len(_QUANTIFIER.findall(pattern)) > _MAX_QUANTIFIERS
        or _QUANTIFIED_GROUP.search(pattern)
    )
    if too_much:
        raise UnsupportedModelError(
            f"{file}: {key} {short(pattern)} is more involved than patterns that are tried here, of "
            f"{_MAX_PATTERN_CHARACTERS} characters and {_MAX_QUANTIFIERS} of * + ? {{, none behind a group: "
            f"{WAY_OUT}"
        )
    try:
        _matcher(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise CheckpointError(file, f"{key} {short(pattern)} is not a regular expression: {exc}") from exc


def _matcher(pattern: str) -> re.Pattern[str]:
    """As PEFT's `get_pattern_key` has it: a pattern is of the whole name, or of its end behind a dot."""
    return re.compile(rf"(.*\.)?({pattern})$")
