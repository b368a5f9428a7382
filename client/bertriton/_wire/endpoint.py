"""How a gRPC channel to Triton is opened: address, encryption, headers, keepalive."""

from __future__ import annotations

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
)
from bertriton._errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Target schemes of gRPC's own name resolvers; anything else before "://" is a mistake.
_RESOLVERS: Final = ("dns", "unix", "unix-abstract", "ipv4", "ipv6", "vsock", "xds", "passthrough")
_ChannelArgument = tuple[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """Everything that decides how a channel is opened."""

    url: str  # host:port, or a gRPC target such as dns:///triton.example:8001
    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keepalive: Keepalive = field(default_factory=Keepalive)
    channel_args: Mapping[str, int | str] = field(default_factory=dict)  # last word over every default

    def __post_init__(self) -> None:
        scheme, separator, _ = self.url.partition("://")
        if not self.url or (separator and scheme not in _RESOLVERS):
            raise InvalidOptionError(
                f"url: expected host:port of Triton's gRPC endpoint or a gRPC target, found {self.url!r}"
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The headers as gRPC wants them: names in lower case."""
        return tuple((name.lower(), value) for name, value in self.headers.items())

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


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_pem(tls.authority, "Tls.authority"),
        private_key=_pem(tls.private_key, "Tls.private_key"),
        certificate_chain=_pem(tls.certificate, "Tls.certificate"),
    )


def _pem(path: Path | str | None, option: str) -> bytes | None:
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as exc:
        raise InvalidOptionError(f"{option}: cannot read {path}: {exc.strerror}") from exc
    if b"-----BEGIN" not in content:
        raise InvalidOptionError(f"{option}: expected a PEM file, found none in {path}")
    return content
