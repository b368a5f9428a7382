"""What a server asks for before it answers, for the packages above the client."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton._config import Tls
from bertriton._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADER_VARIABLE: Final = "BERTRITON_HEADER"
# A comma, or spaces before the next NAME=VALUE; others are of a value, as in "authorization=Bearer TOKEN".
_BETWEEN_HEADERS: Final = re.compile(r"\s*,\s*|\s+(?=[\w.-]+=[^=\s])")
_YES: Final = ("1", "true", "t", "yes", "y", "on")  # click's
_NO: Final = ("0", "false", "f", "no", "n", "off", "")


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


def _is_on(variable: str, environment: Mapping[str, str]) -> bool:
    """Whether a flag is on; what is meant by another word nobody may guess, where secrets would be plain."""
    value = environment.get(variable, "")
    if not is_yes(value) and value.strip().lower() not in _NO:
        raise InvalidOptionError(f"{variable}: expected true or false, found {value!r}")
    return is_yes(value)


def split_headers(value: str) -> list[str]:
    """The headers of one variable, each as it is written."""
    return [word for word in _BETWEEN_HEADERS.split(value.strip()) if word]


def headers_from(words: Iterable[str], source: str) -> tuple[tuple[str, str], ...]:
    """Names and values of headers that are written as NAME=VALUE.

    Args:
        words: the headers.
        source: the option or variable that has them, for messages.

    Raises:
        InvalidOptionError: one is not written so, or has the name of another, of which one would be lost.
    """
    headers: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (name and separator):
            raise InvalidOptionError(f"{source}: expected NAME=VALUE, found {word!r}")
        if name.lower() in headers:
            raise InvalidOptionError(f"{source}: expected each name once, found {name!r} twice")
        headers[name.lower()] = value
    return tuple(headers.items())


def access_from(environment: Mapping[str, str] = os.environ) -> Access:
    """What the variables say that the command line reads; as there, an empty one says nothing.

    Raises:
        InvalidOptionError: there is a certificate without its key, or the other way round; a header is not
            NAME=VALUE, or named twice; or encryption is neither on nor off.
    """
    said = {name: value for name, value in environment.items() if value}
    words = split_headers(said.get(_HEADER_VARIABLE, ""))
    tls = Tls(
        authority=said.get("BERTRITON_TLS_CA"),
        certificate=said.get("BERTRITON_CLIENT_TLS_CERT"),
        private_key=said.get("BERTRITON_CLIENT_TLS_KEY"),
    )
    is_encrypted = _is_on("BERTRITON_TLS", said) or tls != Tls()
    return Access(
        token=said.get("BERTRITON_TOKEN"),
        api_key=said.get("BERTRITON_API_KEY"),
        headers=headers_from(words, _HEADER_VARIABLE),
        tls=tls if is_encrypted else None,
    )
