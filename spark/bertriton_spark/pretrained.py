"""Which classifier a name of Spark NLP's model hub stands for, and where it is asked.

A stage's own parameters come first, then the environment, then the table, then a server of the host's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton._references import CHECKPOINT_VARIABLE, URL_VARIABLE, Named, Wish, embedded, table_from
from bertriton._references import target_of as known_target
from bertriton_spark.errors import SettingError, UnknownModelError
from bertriton_spark.execution import LocalModel

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_LANGUAGE: Final = "en"
DEFAULT_NAME: Final = "classifier"  # of a model that a host serves itself and nobody named

_PRECISION_VARIABLE: Final = "BERTRITON_PRECISION"  # as `bertriton export` reads it
_EMBEDDED: Final = "bert_base_sequence_classifier_imdb"  # the name that the model card has


@dataclass(frozen=True)
class Target:
    """Where texts go: to `urls`, or to a server of the host's own."""

    model: str | None
    urls: tuple[str, ...] = ()
    local: LocalModel | None = None


def pretrained_model(name: str, language: str, environment: Mapping[str, str] = os.environ) -> Named:
    """What a name stands for; one that no table has is a classifier of that name.

    In the user's table it may be NAME or NAME/LANGUAGE.

    Raises:
        SettingError: the table cannot be read.
    """
    try:
        table = {_EMBEDDED: embedded()} | table_from(environment)
    except ValueError as exc:
        raise SettingError(str(exc)) from exc
    key = next((key for key in (f"{name}/{language}", name) if key in table), None)
    if key is None:
        return Named(name)
    return Named(table[key].model or key, table[key].url, table[key].local)


def target_of(
    wish: Wish,
    pretrained: str | None = None,
    language: str = DEFAULT_LANGUAGE,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """Where a stage's texts go.

    Raises:
        UnknownModelError: there is neither a server nor a model to serve.
        SettingError: the user's table cannot be read.
    """
    named = pretrained_model(pretrained, language, environment) if pretrained else Named()
    target = known_target(wish, named, environment)
    if target is None:
        raise UnknownModelError(
            f"neither a server nor a model to serve is known for {pretrained or 'the classifier'}: set "
            f"{URL_VARIABLE} or setUrl(host:port), or {CHECKPOINT_VARIABLE} or setLocalModel(checkpoint)"
        )
    if target.urls:
        return Target(target.model, target.urls)
    name = target.model or DEFAULT_NAME
    return Target(name, local=LocalModel(target.source, name, environment.get(_PRECISION_VARIABLE) or None))
