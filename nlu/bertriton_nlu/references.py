"""Which classifier a reference of NLU stands for, and where it is asked.

The call comes first, then the environment, then the table, then a server of this process's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bertriton import Client
from bertriton._access import Access, access_from
from bertriton._references import (
    CHECKPOINT_VARIABLE,
    EMBEDDED_NAME,
    URL_VARIABLE,
    Named,
    Wish,
    embedded,
    table_from,
)
from bertriton._references import target_of as known_target
from bertriton_nlu.errors import SettingError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S: Final = 180.0  # of a request: a batch job waits for a server that is being replaced


@dataclass(frozen=True)
class Server:
    """A classifier on a server."""

    url: str
    model: str | None = None  # None: the only one of the server
    access: Access = field(default_factory=Access)

    def client(self) -> Client:
        """A client of it, to be closed by the caller."""
        return Client(self.url, self.model, timeout=TIMEOUT_S, **self.access.client_settings())


@dataclass(frozen=True)
class LocalModel:
    """What this process serves itself."""

    source: str  # a model repository, a checkpoint, or a hub id
    name: str  # of the classifier


def target_of(
    reference: str,
    path: str | None = None,
    url: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Server | LocalModel:
    """Where texts go.

    Args:
        reference: as NLU has it, `en.classify.bert_sequence.imdb`: a name of the table, else the classifier
            that its last part names.
        path: a model repository or checkpoint to serve, whatever the environment says.
        url: the server to ask, likewise.
        environment: in place of this process's.

    Raises:
        SettingError: the table of the user's cannot be read, or there are several servers.
        UnknownModelError: there is neither a server nor a model to serve.
    """
    wish = Wish(urls=(url,) if url else (), source=path, is_local=bool(path))
    target = known_target(wish, _named(reference, environment), environment)
    if target is None:
        raise UnknownModelError(
            f"neither a server nor a model to serve is known for {reference!r}: set {URL_VARIABLE}=host:port "
            f"of Triton's gRPC endpoint, or {CHECKPOINT_VARIABLE} or path= to a checkpoint"
        )
    if not target.urls:
        return LocalModel(target.source, target.model or EMBEDDED_NAME)
    if len(target.urls) > 1:
        raise SettingError(
            f"{URL_VARIABLE}: expected one address, found {', '.join(target.urls)}: name one, or "
            "dns:///host:port for all replicas behind a name"
        )
    return Server(target.urls[0], target.model, access_from(environment))


def _named(reference: str, environment: Mapping[str, str]) -> Named:
    """What the table has for a reference, with what its last part says."""
    try:
        entry = table_from(environment).get(reference, Named())
    except ValueError as exc:
        raise SettingError(str(exc)) from exc
    model = entry.model or reference.rpartition(".")[2] or None
    known = embedded().local if model == EMBEDDED_NAME else None
    return Named(model, entry.url, entry.local or known)
