"""What is read of a text over the limit where a request does not say: the model's own defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bertriton import contract
from bertriton_export.checkpoint.settings import Settings, short
from bertriton_export.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton_export.checkpoint.checkpoint import Checkpoint

# The object in config.json that tells them, which Transformers keeps and does not read.
OWN_SECTION: Final = "bertriton"
_KEYS: Final = ("truncation", "stride", "aggregation")


@dataclass(frozen=True)
class TruncationDefaults:
    """The request parameters that hold where a request has none of its own."""

    truncation: str = contract.DEFAULT_TRUNCATION  # one of contract.TRUNCATIONS
    stride: int = contract.DEFAULT_STRIDE  # tokens that a window shares with the one before
    aggregation: str = contract.DEFAULT_AGGREGATION  # one of contract.AGGREGATIONS


def read_truncation(settings: Settings, truncation: str = contract.DEFAULT_TRUNCATION) -> TruncationDefaults:
    """The defaults that a config.json carries in its object `bertriton`.

    Args:
        settings: of config.json.
        truncation: what the tokenizer's files say, for an object that says nothing of it.

    Raises:
        CheckpointError: the object holds another key, or a value that is none of its key's.

    Example:
        >>> read_truncation(Settings(Path("config.json"), {"bertriton": {"truncation": "head_tail"}}))
        TruncationDefaults(truncation='head_tail', stride=0, aggregation='mean')
    """
    section = Settings(settings.file, settings.section(OWN_SECTION))
    unknown = sorted(settings.section(OWN_SECTION).keys() - set(_KEYS))
    if unknown:
        raise CheckpointError(
            settings.file, f"{OWN_SECTION}: expected keys of {', '.join(_KEYS)}, found {short(unknown[0])}"
        )
    defaults = TruncationDefaults(truncation)
    return TruncationDefaults(
        truncation=_choice(section, "truncation", contract.TRUNCATIONS, defaults.truncation),
        stride=section.size("stride", defaults.stride, least=0),
        aggregation=_choice(section, "aggregation", contract.AGGREGATIONS, defaults.aggregation),
    )


def with_truncation(
    checkpoint: Checkpoint,
    truncation: str | None = None,
    stride: int | None = None,
    aggregation: str | None = None,
) -> Checkpoint:
    """The checkpoint with the defaults it is served with.

    Args:
        checkpoint: as it was read.
        truncation: to use instead of the checkpoint's, one of contract.TRUNCATIONS.
        stride: likewise, tokens that a window shares with the one before.
        aggregation: likewise, one of contract.AGGREGATIONS.

    Raises:
        OptionError: an option is none of its values.
        CheckpointError: the checkpoint's own stride leaves no new token to a window.
    """
    for name, value, choices in (
        ("truncation", truncation, contract.TRUNCATIONS),
        ("aggregation", aggregation, contract.AGGREGATIONS),
    ):
        if value is not None and value not in choices:
            raise OptionError(f"{name} {value!r}: expected one of {', '.join(choices)}")
    asked: dict[str, Any] = {"truncation": truncation, "stride": stride, "aggregation": aggregation}
    given = {name: value for name, value in asked.items() if value is not None}
    served = replace(checkpoint, truncation=replace(checkpoint.truncation, **given))
    if not 0 <= served.truncation.stride < served.max_length:
        limit = served.max_length - 1  # a window that shares all of its tokens goes no further
        problem = f"stride {served.truncation.stride}: expected 0 to {limit} tokens"
        raise OptionError(problem) if stride is not None else CheckpointError(checkpoint.path, problem)
    return served


def _choice(section: Settings, key: str, choices: Sequence[str], default: str) -> str:
    value = section.text(key)
    if value is not None and value not in choices:
        raise CheckpointError(
            section.file, f"{OWN_SECTION} {key}: expected one of {', '.join(choices)}, found {short(value)}"
        )
    return value or default
