"""What a gRPC target says of host and port, and the proxy that gRPC takes to get there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

# gRPC reads these in this order, in lower case only.
_PROXY_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_PROXY_SCHEME: Final = "http://"  # gRPC has no other, as socks5, and takes none without one
_EXEMPTION_VARIABLES: Final = ("no_grpc_proxy", "no_proxy")
_NAMED_SCHEMES: Final = ("dns", "ipv4", "ipv6")  # of targets that have a host and a port
_DEFAULT_PORT: Final = 443  # gRPC's own, where a target has none
_PORT: Final = re.compile(r":(-?[0-9]+)(?=,|$)")
_POSSIBLE_PORT: Final = re.compile(r"0*[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65535  # gRPC takes the last 16 bits of other numbers, which is another port


@dataclass(frozen=True)
class Address:
    """Host and port of a target."""

    host: str
    port: int
    is_port_given: bool = field(default=True, repr=False, compare=False)  # otherwise it is gRPC's own

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine itself."""
        if self.host.lower().rstrip(".") == "localhost" or self.host.lower().endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class Proxy:
    """A proxy that gRPC goes through, without the password that its address may have."""

    variable: str  # of the environment, which names it
    address: str  # host:port


def address_of(target: str) -> Address | None:
    """Host and port of a gRPC target; None where it has none, as a Unix socket.

    Example:
        >>> address_of("dns:///triton.example:8001")
        Address(host='triton.example', port=8001)
    """
    scheme, separator, rest = target.partition(":")
    if separator and scheme in _NAMED_SCHEMES:
        target = rest.rpartition("/")[2]
    elif "/" in target or scheme in {"unix", "unix-abstract", "vsock", "xds"}:
        return None
    target = target.partition(",")[0]  # ipv4: takes a list
    try:
        parts = urlsplit(f"//{target}")
        if not parts.hostname:
            return None
        return Address(parts.hostname, parts.port or _DEFAULT_PORT, is_port_given=parts.port is not None)
    except ValueError:
        return None


def impossible_port(target: str) -> str | None:
    """The first port of a target that no address has, None if there is none."""
    scheme, separator, _ = target.partition(":")
    if "/" in target and not (separator and scheme in _NAMED_SCHEMES):
        return None
    return next((port for port in _PORT.findall(target) if not _is_possible(port)), None)


def _is_possible(port: str) -> bool:
    # int() takes no number of thousands of digits.
    return bool(_POSSIBLE_PORT.fullmatch(port)) and int(port.lstrip("0")) <= _MAX_PORT


def proxy_to(address: Address, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy that gRPC takes to an address by the environment, None if it goes without."""
    for variable in _PROXY_VARIABLES:
        value = environment.get(variable, "")
        if value:
            break
    else:
        return None
    if not value.startswith(_PROXY_SCHEME):
        return None  # gRPC passes over such a value, and over the variables behind it
    exempted = next(filter(None, map(environment.get, _EXEMPTION_VARIABLES)), "")
    if any(_exempts(entry.strip(), address.host) for entry in exempted.split(",")):
        return None
    return Proxy(variable, value.rpartition("@")[2].rpartition("//")[2].rstrip("/"))


def _exempts(entry: str, host: str) -> bool:
    """Whether an entry of no_proxy, the end of a name or a network, is of this host."""
    if not entry:
        return False
    if host.lower().endswith(entry.lower()):
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
