"""Which classifier a name of Spark NLP's model hub stands for, and where it is asked.

A stage's own parameters come first, then the environment, then the table, then a server of the host's own.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bertriton_spark.errors import SettingError, UnknownModelError
from bertriton_spark.execution import Access, LocalModel

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_LANGUAGE: Final = "en"
TABLE_VARIABLE: Final = "BERTRITON_SPARK_MODELS"  # a JSON file of further names
DEFAULT_NAME: Final = "classifier"  # of a model that a host serves itself and nobody named

_URL_VARIABLE: Final = "BERTRITON_URL"
_MODEL_VARIABLE: Final = "BERTRITON_MODEL"
# What a host serves itself, in this order.
_LOCAL_VARIABLES: Final = ("BERTRITON_MODEL_REPOSITORY", "BERTRITON_CHECKPOINT")
_EMBEDDED: Final = Path(__file__).parents[2] / "checkpoints" / "imdb-minilm"  # beside a checkout alone
_FIELDS: Final = ("model", "url", "local")


@dataclass(frozen=True)
class Pretrained:
    """What a name stands for."""

    model: str  # the classifier's name on a server
    url: str | None = None  # where it is asked unless the environment says so
    local: str | None = None  # model repository or checkpoint that a host serves itself


@dataclass(frozen=True)
class Target:
    """Where texts go: to `urls`, or to a server of the host's own."""

    model: str | None
    urls: tuple[str, ...] = ()
    local: LocalModel | None = None


@dataclass(frozen=True)
class Wish:
    """What a stage's parameters say of it."""

    pretrained: str | None = None
    language: str = DEFAULT_LANGUAGE
    model: str | None = None
    urls: tuple[str, ...] = ()
    is_local: bool = False
    local: str | None = None


def embedded_models() -> dict[str, Pretrained]:
    """The names that are known without a table of the user's."""
    local = str(_EMBEDDED) if _EMBEDDED.is_dir() else None
    return {"bert_base_sequence_classifier_imdb": Pretrained("imdb", local=local)}


def pretrained_model(name: str, language: str, environment: Mapping[str, str] = os.environ) -> Pretrained:
    """What a name stands for; one that no table has is a classifier of that name.

    The table of the user's is JSON: `{"NAME": {"model": ..., "url": ..., "local": ...}}`, where NAME may be
    `NAME/LANGUAGE`, and each field may be left out.

    Raises:
        SettingError: the user's table cannot be read.
    """
    table = embedded_models() | _table_of(environment.get(TABLE_VARIABLE))
    return table.get(f"{name}/{language}") or table.get(name) or Pretrained(name)


def target_of(wish: Wish, environment: Mapping[str, str] = os.environ) -> Target:
    """Where a stage's texts go.

    Raises:
        UnknownModelError: there is neither a server nor a model to serve.
    """
    known = pretrained_model(wish.pretrained, wish.language, environment) if wish.pretrained else None
    model = wish.model or environment.get(_MODEL_VARIABLE) or (known.model if known else None)
    urls = wish.urls or _urls_in(environment.get(_URL_VARIABLE) or (known and known.url) or "")
    if urls and not wish.is_local:
        return Target(model, urls)
    found = (environment.get(name) for name in _LOCAL_VARIABLES)
    source = wish.local or next(filter(None, found), None) or (known and known.local)
    if not source:
        raise UnknownModelError(
            f"neither a server nor a model to serve is known for {wish.pretrained or 'the classifier'}: set "
            f"{_URL_VARIABLE} or setUrl(host:port), or {_LOCAL_VARIABLES[1]} or setLocalModel(checkpoint)"
        )
    name = model or DEFAULT_NAME
    return Target(name, local=LocalModel(source, name))


def access_from(environment: Mapping[str, str] = os.environ) -> Access:
    """What a server asks for, from the variables that the command line reads, too."""
    headers = (environment.get("BERTRITON_HEADER") or "").split()
    return Access(
        token=environment.get("BERTRITON_TOKEN"),
        api_key=environment.get("BERTRITON_API_KEY"),
        headers=tuple((name, value) for name, _, value in (header.partition("=") for header in headers)),
        tls=environment.get("BERTRITON_TLS", "").lower() in {"1", "true", "yes", "on"},
        tls_ca=environment.get("BERTRITON_TLS_CA"),
        tls_cert=environment.get("BERTRITON_CLIENT_TLS_CERT"),
        tls_key=environment.get("BERTRITON_CLIENT_TLS_KEY"),
    )


def _urls_in(addresses: str) -> tuple[str, ...]:
    return tuple(filter(None, (address.strip() for address in addresses.split(","))))


def _table_of(path: str | None) -> dict[str, Pretrained]:
    if not path:
        return {}
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: _entry(name, fields) for name, fields in entries.items()}
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise SettingError(
            f"{TABLE_VARIABLE}={path}: expected JSON as "
            f'{{"NAME": {{"model": ..., "url": ..., "local": ...}}}}: {exc}'
        ) from exc


def _entry(name: str, fields: dict[str, Any]) -> Pretrained:
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise ValueError(f"{name} has the unknown fields {', '.join(unknown)}")
    return Pretrained(fields.get("model", name), fields.get("url"), fields.get("local"))
