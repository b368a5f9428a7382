"""What a port speaks that gRPC has failed to talk to.

gRPC tells one failure, of the last address of a name: of localhost that nobody listens at ::1.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bertriton._config import DEFAULT_URL

if TYPE_CHECKING:
    from bertriton._config import Tls
    from bertriton._wire.steps import AskPort

_HTTP_QUESTION: Final = b"GET / HTTP/1.0\r\n\r\n"
_HTTP_ANSWER_BYTES: Final = 64
_LEAST_S: Final = 0.01  # 0 would not wait, and fail
_GRPC_PORT: Final = DEFAULT_URL.rpartition(":")[2]


def hint_of(step: AskPort) -> str:
    """What is in the way at an address, empty where that is not known; waits."""
    ends_s = time.monotonic() + step.timeout_s
    try:
        return _found(step, ends_s)
    except (OSError, ValueError):  # nobody is there, or says a word; or Python takes the host for no name
        return ""


def _found(step: AskPort, ends_s: float) -> str:
    if _is_http(step):
        return f"port {step.port} speaks HTTP, and this client gRPC, by default at port {_GRPC_PORT}"
    is_encrypted = _handshake_failure(_until(step, ends_s), _trusting_all()) is None
    if step.tls is None:
        hint = f"port {step.port} speaks TLS, which this client was not told to (tls)"
        return hint if is_encrypted else ""
    if not is_encrypted:
        return f"port {step.port} does not speak TLS, which this client was told to (tls)"
    failure = _handshake_failure(_until(step, ends_s), _trusting(step.tls))
    reason = failure.verify_message if isinstance(failure, ssl.SSLCertVerificationError) else ""
    return f"the certificate of port {step.port} is not trusted: {reason}" if reason else ""


def _until(step: AskPort, ends_s: float) -> AskPort:
    """The same question, with the time that the ones before it have left."""
    return replace(step, timeout_s=max(ends_s - time.monotonic(), _LEAST_S))


def _is_http(step: AskPort) -> bool:
    with socket.create_connection((step.host, step.port), step.timeout_s) as connection:
        try:
            connection.sendall(_HTTP_QUESTION)
            return connection.recv(_HTTP_ANSWER_BYTES).startswith(b"HTTP/1")
        except ConnectionError:  # an answer as well: it is not spoken
            return False


def _handshake_failure(step: AskPort, context: ssl.SSLContext) -> OSError | None:
    name = (step.tls and step.tls.server_name) or step.host
    try:
        with (
            socket.create_connection((step.host, step.port), step.timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=name),
        ):
            return None
    except OSError as exc:  # of ssl as well
        return exc


def _trusting(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.authority)
    context.set_alpn_protocols(["h2"])
    return context


def _trusting_all() -> ssl.SSLContext:
    """To see whether TLS is spoken at all; nothing is sent in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context
