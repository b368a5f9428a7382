"""How a gRPC channel to Triton is opened: address, encryption, headers, keepalive."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]

from bertriton._config import (
    CONNECT_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    MAX_RECONNECT_INTERVAL_S,
    MIN_RECONNECT_INTERVAL_S,
    Keepalive,
    Tls,
    valid_kind,
    valid_text,
)
from bertriton._errors import InvalidOptionError
from bertriton._wire.address import address_of, impossible_port, proxy_to

if TYPE_CHECKING:
    from bertriton._wire.address import Address, Proxy

# Target schemes of gRPC's own name resolvers; anything else before "://" is a mistake.
_RESOLVERS: Final = ("dns", "unix", "unix-abstract", "ipv4", "ipv6", "vsock", "xds", "passthrough")
_KEY_OPTION: Final = "Tls.private_key"
# OpenSSL's words for a good key that is not the certificate's: another number, or RSA for an elliptic curve.
_OF_ANOTHER_PAIR: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_ChannelArgument = tuple[str, Any]
_URL: Final = "host:port of Triton's gRPC endpoint or a gRPC target"
_INTEGERS: Final = range(-(2**31), 2**31)  # of channel arguments
_KINDS: Final = (
    ("tls", (Tls, type(None)), "a Tls, such as Tls(), or None"),
    ("keepalive", Keepalive, "a Keepalive"),
    ("channel_args", Mapping, "a mapping of names to numbers or strings"),
)


@dataclass(frozen=True)
class Endpoint:
    """Everything that decides how a channel is opened."""

    url: str  # host:port, or a gRPC target such as dns:///triton.example:8001
    tls: Tls | None = None
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    keepalive: Keepalive = field(default_factory=Keepalive)
    channel_args: Mapping[str, int | str] = field(default_factory=dict)  # last word over every default

    def __post_init__(self) -> None:
        for name, kind, expected in _KINDS:
            valid_kind(name, getattr(self, name), kind, expected)
        valid_text("url", self.url, _URL)
        for name, value in self.channel_args.items():
            _require_argument(valid_text("channel_args", name, "names that are strings"), value)
        scheme, separator, _ = self.url.partition("://")
        if not self.url or (separator and scheme not in _RESOLVERS):
            raise InvalidOptionError(f"url: expected {_URL}, found {self.url!r}")
        port = impossible_port(self.url)
        if port is not None:
            raise InvalidOptionError(f"url: expected a port of 1 to 65535, found {port} in {self.url!r}")

    @property
    def address(self) -> Address | None:
        """Host and port, None where the target has none."""
        return address_of(self.url)

    @property
    def proxy(self) -> Proxy | None:
        """The proxy that gRPC takes by the environment."""
        arguments = dict(self.arguments())
        if self.address is None or arguments.get("grpc.enable_http_proxy") == 0:
            return None
        return proxy_to(self.address)

    @property
    def route(self) -> str:
        """The address for an error's message, with the port and the proxy that gRPC takes of its own."""
        proxy = self.proxy
        if self.address is None:
            return self.url
        url = self.url if self.address.is_port_given else f"{self.url} (no port is given: gRPC took 443)"
        if proxy is None:
            return url
        return (
            f"{url} through the proxy {proxy.address}, which {proxy.variable} of the environment names "
            f"(no_proxy={self.address.host} goes without it)"
        )

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The headers as gRPC wants them."""
        return tuple(self.headers.items())

    def arguments(self) -> list[_ChannelArgument]:
        """All channel arguments; the caller's replace defaults of the same name and leave the others."""
        defaults: dict[str, int | str] = {
            "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
            "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
            "grpc.keepalive_time_ms": int(self.keepalive.interval_s * 1000),
            "grpc.keepalive_timeout_ms": int(self.keepalive.timeout_s * 1000),
            "grpc.initial_reconnect_backoff_ms": int(MIN_RECONNECT_INTERVAL_S * 1000),
            # In spite of its name the time that one attempt to connect may take.
            "grpc.min_reconnect_backoff_ms": int(CONNECT_TIMEOUT_S * 1000),
            "grpc.max_reconnect_backoff_ms": int(MAX_RECONNECT_INTERVAL_S * 1000),
            # Retries are ours to decide and to count.
            "grpc.enable_retries": 0,
            # One address makes this the same as gRPC's default; several are replicas.
            "grpc.lb_policy_name": "round_robin",
        }
        # No proxy leads to this machine itself.
        if self.address is not None and self.address.is_loopback:
            defaults["grpc.enable_http_proxy"] = 0
        if self.tls is not None and self.tls.server_name is not None:
            defaults["grpc.ssl_target_name_override"] = self.tls.server_name
        return list((defaults | dict(self.channel_args)).items())

    def open(self) -> grpc.Channel:
        """A channel that blocks; it connects at the first request."""
        if self.tls is None:
            return grpc.insecure_channel(self.url, self.arguments())
        return grpc.secure_channel(self.url, _credentials(self.tls), self.arguments())

    def open_async(self) -> grpc.aio.Channel:
        """A channel for the running event loop; it connects at the first request."""
        if self.tls is None:
            return grpc.aio.insecure_channel(self.url, self.arguments())
        return grpc.aio.secure_channel(self.url, _credentials(self.tls), self.arguments())


def _require_argument(name: str, value: int | str) -> None:
    option = f"channel_args[{name!r}]"
    if isinstance(value, str):
        valid_text(option, value, "a string")
    elif valid_kind(option, value, int, "a number or a string") not in _INTEGERS:
        raise InvalidOptionError(f"{option}: expected a number of 32 bits, found {value}")


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    authorities = _pem(tls.authority, "Tls.authority")
    if tls.authority is not None:
        _require_authorities(tls.authority)
    if tls.certificate is not None and tls.private_key is not None:
        _require_pair(tls.certificate, tls.private_key)
    return grpc.ssl_channel_credentials(
        root_certificates=authorities,
        private_key=_pem(tls.private_key, _KEY_OPTION),
        certificate_chain=_pem(tls.certificate, "Tls.certificate"),
    )


def _require_pair(certificate: Path | str, key: Path | str) -> None:
    """See that a key is that of a certificate; gRPC tells no more than that the handshake failed."""
    for path, name in ((certificate, "Tls.certificate"), (key, _KEY_OPTION)):
        _pem(path, name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as exc:
        problem = f"cannot be read with Tls.certificate {certificate}: {exc.reason or exc}"
        if exc.reason in _OF_ANOTHER_PAIR:
            problem = f"is not the private key of Tls.certificate {certificate}"
        raise InvalidOptionError(f"Tls.private_key: {key} {problem}") from exc


def _no_passphrase() -> str:
    raise InvalidOptionError("Tls.private_key: it has a passphrase, which gRPC cannot be told: remove that")


def _pem(path: Path | str | None, option: str) -> bytes | None:
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as exc:
        raise InvalidOptionError(f"{option}: cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:  # as of a NUL in the path
        raise InvalidOptionError(f"{option}: cannot read {os.fspath(path)!r}: {exc}") from exc
    if b"-----BEGIN" not in content:
        raise InvalidOptionError(f"{option}: expected a PEM file, found none in {path}")
    if option != _KEY_OPTION and b"CERTIFICATE-----" not in content:
        raise InvalidOptionError(f"{option}: expected a certificate, found a PEM file without one in {path}")
    return content


def _require_authorities(path: Path | str) -> None:
    """See that the certificates are whole; gRPC tells no more than that nobody listens."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as exc:
        raise InvalidOptionError(
            f"Tls.authority: expected whole certificates, found one that is cut or damaged in {path}: "
            f"{exc.reason or exc}"
        ) from exc
