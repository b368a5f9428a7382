"""Which classifier a reference of NLU stands for, and where it is asked.

The call comes first, then the environment, then the table, then a server of this process's own.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bertriton import Client, Tls
from bertriton_nlu.errors import SettingError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE_VARIABLE: Final = "BERTRITON_SPARK_MODELS"  # one table for the names of Spark NLP and of NLU
TIMEOUT_S: Final = 180.0  # of a request: a batch job waits for a server that is being replaced

URL_VARIABLE: Final = "BERTRITON_URL"
_MODEL_VARIABLE: Final = "BERTRITON_MODEL"
# What this process serves itself, in this order.
_LOCAL_VARIABLES: Final = ("BERTRITON_MODEL_REPOSITORY", "BERTRITON_CHECKPOINT")
_EMBEDDED: Final = Path(__file__).parents[2] / "checkpoints" / "imdb-minilm"  # beside a checkout alone
_EMBEDDED_NAME: Final = "imdb"
_FIELDS: Final = ("model", "url", "local")
_YES: Final = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Access:
    """What a server asks for, as the command line's options of the same names."""

    token: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: Tls | None = None


@dataclass(frozen=True)
class Server:
    """A classifier on a server."""

    url: str
    model: str | None = None  # None: the only one of the server
    access: Access = field(default_factory=Access)

    def client(self) -> Client:
        """A client of it, to be closed by the caller."""
        access = self.access
        return Client(
            self.url,
            self.model,
            timeout=TIMEOUT_S,
            token=access.token,
            api_key=access.api_key,
            headers=dict(access.headers),
            tls=access.tls,
        )


@dataclass(frozen=True)
class LocalModel:
    """What this process serves itself."""

    source: str  # a model repository, a checkpoint, or a hub id
    name: str  # of the classifier


def target_of(
    reference: str, path: str | None = None, environment: Mapping[str, str] = os.environ
) -> Server | LocalModel:
    """Where texts go.

    Args:
        reference: as NLU has it, `en.classify.bert_sequence.imdb`: a name of the table, else the classifier
            that its last part names.
        path: a model repository or checkpoint to serve, whatever the environment says.
        environment: in place of this process's.

    Raises:
        SettingError: the table of the user's cannot be read.
        UnknownModelError: there is neither a server nor a model to serve.
    """
    known = _table_of(environment.get(TABLE_VARIABLE)).get(reference, {})
    model = environment.get(_MODEL_VARIABLE) or known.get("model") or reference.rpartition(".")[2] or None
    url = environment.get(URL_VARIABLE) or known.get("url")
    if url and not path:
        return Server(url, model, access_from(environment))
    variables = filter(None, map(environment.get, _LOCAL_VARIABLES))
    source = path or next(variables, None) or known.get("local") or _embedded(model)
    if not source:
        raise UnknownModelError(
            f"neither a server nor a model to serve is known for {reference!r}: set {URL_VARIABLE}=host:port "
            f"of Triton's gRPC endpoint, or {_LOCAL_VARIABLES[1]} or path= to a checkpoint"
        )
    return LocalModel(source, model or _EMBEDDED_NAME)


def access_from(environment: Mapping[str, str] = os.environ) -> Access:
    """What a server asks for, from the variables that the command line reads."""
    headers = (header.partition("=") for header in environment.get("BERTRITON_HEADER", "").split())
    tls = Tls(
        authority=environment.get("BERTRITON_TLS_CA"),
        certificate=environment.get("BERTRITON_CLIENT_TLS_CERT"),
        private_key=environment.get("BERTRITON_CLIENT_TLS_KEY"),
    )
    is_encrypted = environment.get("BERTRITON_TLS", "").lower() in _YES or tls != Tls()
    return Access(
        token=environment.get("BERTRITON_TOKEN"),
        api_key=environment.get("BERTRITON_API_KEY"),
        headers=tuple((name, value) for name, _, value in headers),
        tls=tls if is_encrypted else None,
    )


def _embedded(model: str | None) -> str | None:
    return str(_EMBEDDED) if model == _EMBEDDED_NAME and _EMBEDDED.is_dir() else None


def _table_of(path: str | None) -> dict[str, dict[str, Any]]:
    """The table of the user's, `{"REFERENCE": {"model": ..., "url": ..., "local": ...}}`."""
    if not path:
        return {}
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        unknown = sorted({name for fields in entries.values() for name in fields} - set(_FIELDS))
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise SettingError(
            f'{TABLE_VARIABLE}={path}: expected JSON as {{"NAME": {{"model": ...}}}}: {exc}'
        ) from exc
    if unknown:
        raise SettingError(
            f"{TABLE_VARIABLE}={path}: expected the fields {', '.join(_FIELDS)}, found {unknown}"
        )
    table: dict[str, dict[str, Any]] = entries
    return table
