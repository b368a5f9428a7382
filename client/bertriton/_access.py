"""What a server asks for before it answers, for the packages above the client."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton._config import Tls

if TYPE_CHECKING:
    from collections.abc import Mapping

_YES: Final = ("1", "true", "t", "yes", "y", "on")  # click's


@dataclass(frozen=True)
class Access:
    """How to be let in, as the command line's options of the same names; what is secret is not shown."""

    token: str | None = field(default=None, repr=False)  # sent as `authorization: Bearer TOKEN`
    api_key: str | None = field(default=None, repr=False)  # that `bertriton serve --api-key` asks for
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # further gRPC metadata
    tls: Tls | None = None  # None: a plain connection

    def client_settings(self) -> dict[str, Any]:
        """Keyword arguments of `bertriton.Client`."""
        return {
            "token": self.token,
            "api_key": self.api_key,
            "headers": dict(self.headers),
            "tls": self.tls,
        }


def is_yes(value: str) -> bool:
    """Whether a variable's value switches on, as of the command line's flags."""
    return value.strip().lower() in _YES


def access_from(environment: Mapping[str, str] = os.environ) -> Access:
    """What the variables say that the command line reads.

    Raises:
        InvalidOptionError: there is a certificate without its key, or the other way round.
    """
    headers = (header.partition("=") for header in environment.get("BERTRITON_HEADER", "").split())
    tls = Tls(
        authority=environment.get("BERTRITON_TLS_CA"),
        certificate=environment.get("BERTRITON_CLIENT_TLS_CERT"),
        private_key=environment.get("BERTRITON_CLIENT_TLS_KEY"),
    )
    is_encrypted = is_yes(environment.get("BERTRITON_TLS", "")) or tls != Tls()
    return Access(
        token=environment.get("BERTRITON_TOKEN"),
        api_key=environment.get("BERTRITON_API_KEY"),
        headers=tuple((name, value) for name, _, value in headers),
        tls=tls if is_encrypted else None,
    )
