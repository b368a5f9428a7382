"""Which classifier a name of another library stands for, for the packages above the client.

What a call says itself comes first, then the environment, then the user's table, then what the package knows.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE_VARIABLE: Final = "BERTRITON_SPARK_MODELS"  # a JSON file: one table for Spark NLP's names and NLU's
URL_VARIABLE: Final = "BERTRITON_URL"
CHECKPOINT_VARIABLE: Final = "BERTRITON_CHECKPOINT"

_MODEL_VARIABLE: Final = "BERTRITON_MODEL"
# What is served where there is no server, in this order.
_SOURCE_VARIABLES: Final = ("BERTRITON_MODEL_REPOSITORY", CHECKPOINT_VARIABLE)
_FIELDS: Final = ("model", "url", "local")
_EMBEDDED: Final = Path(__file__).parents[2] / "checkpoints" / "imdb-minilm"  # beside a checkout alone
EMBEDDED_NAME: Final = "imdb"


@dataclass(frozen=True)
class Named:
    """What a name stands for."""

    model: str | None = None  # the classifier's name on a server
    url: str | None = None  # addresses with commas between them
    local: str | None = None  # model repository or checkpoint to serve where there is no server


@dataclass(frozen=True)
class Wish:
    """What a call says itself."""

    model: str | None = None
    urls: tuple[str, ...] = ()
    source: str | None = None  # model repository or checkpoint
    is_local: bool = False  # whether it is served whatever servers are known


@dataclass(frozen=True)
class Target:
    """Where texts go: to `urls`, or to a server of one's own."""

    model: str | None
    urls: tuple[str, ...] = ()
    source: str = ""  # that one serves where there are no addresses


def embedded() -> Named:
    """The film-review classifier that a checkout of this project has."""
    return Named(EMBEDDED_NAME, local=str(_EMBEDDED) if _EMBEDDED.is_dir() else None)


def target_of(wish: Wish, named: Named, environment: Mapping[str, str] = os.environ) -> Target | None:
    """Where texts go; None where there is neither a server nor a model to serve."""
    model = wish.model or environment.get(_MODEL_VARIABLE) or named.model
    urls = wish.urls or _addresses(environment.get(URL_VARIABLE) or named.url or "")
    if urls and not wish.is_local:
        return Target(model, urls)
    variables = filter(None, map(environment.get, _SOURCE_VARIABLES))
    source = wish.source or next(variables, None) or named.local
    return Target(model, source=source) if source else None


def table_from(environment: Mapping[str, str] = os.environ) -> dict[str, Named]:
    """The user's table, `{"NAME": {"model": ..., "url": ..., "local": ...}}`; each field may be left out.

    Raises:
        ValueError: it cannot be read; the message names the variable, and what was expected.
    """
    path = environment.get(TABLE_VARIABLE)
    if not path:
        return {}
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: _entry(name, fields) for name, fields in entries.items()}
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise ValueError(
            f"{TABLE_VARIABLE}={path}: expected JSON as "
            f'{{"NAME": {{"model": ..., "url": ..., "local": ...}}}}: {exc}'
        ) from exc


def _entry(name: str, fields: dict[str, Any]) -> Named:
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise ValueError(f"{name} has the unknown fields {', '.join(unknown)}")
    return Named(**fields)


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (address.strip() for address in text.split(","))))
