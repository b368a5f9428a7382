"""TCP ports: which are free, and which are not."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from itertools import combinations
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import AddressUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # as tritonserver is told it


def ipv4_address(host: str) -> str:
    """The address that a host name stands for; tritonserver listens on IPv4 only.

    Raises:
        AddressUnavailableError: it stands for none.
    """
    try:
        return socket.gethostbyname(host)
    except OSError as exc:
        message = f"cannot listen on {host!r}: {exc.strerror}; give an IPv4 address of this machine"
        raise AddressUnavailableError(message, host, 0) from exc


def choose_ports(hosts: Mapping[str, str], requested: Mapping[str, int]) -> dict[str, int]:
    """Check the ports that were asked for, and replace each 0 by a port that nobody listens on now.

    Args:
        hosts: address to listen on, by service.
        requested: port to listen on, by service.

    Raises:
        AddressUnavailableError: a port cannot be bound; the message says why.
    """
    _require_apart(hosts, requested)
    with ExitStack() as bound:
        # All are held until the last is bound, or the system could hand out the same port twice.
        sockets = {
            # Those asked for come first, lest one of the free ones is among them.
            service: bound.enter_context(closing(_require(hosts[service], port)))
            for service, port in sorted(requested.items(), key=lambda item: -item[1])
        }
        return {service: sockets[service].getsockname()[1] for service in requested}


def _require_apart(hosts: Mapping[str, str], requested: Mapping[str, int]) -> None:
    """See that no two services are told to listen at one place; the system would say that it is in use."""
    asked = [service for service, port in requested.items() if port]
    for one, other in combinations(asked, 2):
        pair = {hosts[one], hosts[other]}
        if requested[one] == requested[other] and (len(pair) == 1 or _ANY_ADDRESS in pair):
            host, port = hosts[one], requested[one]
            message = f"{one} and {other} cannot both listen on {host}:{port}; give each a port of its own"
            raise AddressUnavailableError(message, host, port)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        _bind(host, port).close()
    except OSError:
        return False
    return True


def is_listening(host: str, port: int) -> bool:
    """Whether somebody takes connections there now."""
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return False
    return True


def _require(host: str, port: int) -> socket.socket:
    try:
        return _bind(host, port)
    except OSError as exc:
        raise AddressUnavailableError(
            f"cannot listen on {host}:{port}: {exc.strerror}; stop what listens there or choose another port",
            host,
            port,
        ) from exc


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As tritonserver does: connections of a server that has just stopped do not hold the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        # Two sockets may be bound to one port as long as none listens.
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound
