"""Defaults and settings: every number a caller can change, in one place."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  # dataclass fields stay readable by typing.get_type_hints
from typing import Any, Final

from bertriton._errors import RESTRICTED_PROTOCOL_PREFIX, InvalidOptionError

DEFAULT_URL: Final = "localhost:8001"
DEFAULT_TIMEOUT_S: Final = 30.0
READY_TIMEOUT_S: Final = 5.0  # is_ready() and health() are for probes, which want a quick no
PROBE_TEXT: Final = "ok"  # what they have classified
DIAGNOSIS_TIMEOUT_S: Final = 1.0  # asking a server that refused a request for the reason

# A stream whose input gives no text for so long sends what it has.
STREAM_PAUSE_S: Final = 0.005
READER_CLOSE_TIMEOUT_S: Final = (
    0.1  # for the reader of a stream that is left: it may wait for a text for ever
)

# gRPC's deadlines are dates; those of far-off centuries overflow and are over at once.
MAX_DURATION_S: Final = 365 * 24 * 3600.0
MAX_COUNT: Final = 2**63 - 1  # that a request can hold
# Channel arguments are 32-bit numbers of milliseconds.
MAX_KEEPALIVE_S: Final = 24 * 24 * 3600.0

CLOSE_TIMEOUT_S: Final = 1.0  # for calls under way to end when the client is closed
# Triton up to 24.11 may free a call twice, and end, whose client is gone just when it is refused, soon after
# it came: https://github.com/triton-inference-server/server/pull/7840
CANCEL_DELAY_S: Final = 0.1
ENDING_S: Final = 0.01  # for the ends of cancelled calls to reach their event loop

# A request is dropped from Triton's queue a little before its caller stops waiting for it.
QUEUE_SHARE_OF_DEADLINE: Final = 0.9

MAX_TEXT_BYTES: Final = 2 * 1024 * 1024
MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
MAX_IN_FLIGHT: Final = 8
# Calls of one text each that an AsyncClient makes in one pass of its event loop share a message: so many, so
# much, and with deadlines no further apart. Short ones, for all wait for the last.
SHARED_TEXTS: Final = 8
SHARED_TEXT_BYTES: Final = 1024  # of its request
SHARED_BYTES: Final = 4096
SHARED_TIMEOUT_SPREAD_S: Final = 0.05
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024  # gRPC's own limit of 4 MiB is below what a long list may answer

# Triton answers pings that come more often than this with a broken connection
# (--grpc-http2-min-recv-ping-interval-without-data), so that a shorter interval needs a change there first.
TRITON_MIN_PING_INTERVAL_S: Final = 300.0
KEEPALIVE_INTERVAL_S: Final = TRITON_MIN_PING_INTERVAL_S + 10.0
KEEPALIVE_TIMEOUT_S: Final = 20.0

# gRPC alone waits up to two minutes before it tries a lost server again.
CONNECT_TIMEOUT_S: Final = 5.0
MIN_RECONNECT_INTERVAL_S: Final = 0.1
MAX_RECONNECT_INTERVAL_S: Final = 2.0

API_KEY_HEADER: Final = RESTRICTED_PROTOCOL_PREFIX + "api-key"

CACHE_MAX_AGE_S: Final = 600.0

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RetryPolicy:
    """When a request is sent again that no server accepted.

    Each wait is drawn at random between zero and a bound that grows exponentially, so that callers do not
    come back together. All retries of a client share a budget: a store of retries that time and answers
    refill. Retries never go past the deadline of the call.

    Example:
        >>> RetryPolicy(max_attempts=1)  # never retry
        RetryPolicy(max_attempts=1, ...)
    """

    max_attempts: int = 30  # requests per answer, the first included
    first_contact_attempts: int = 4  # the same until the address has answered once: a wrong one fails soon
    initial_backoff_s: float = 0.05  # bound of the first wait
    max_backoff_s: float = 2.0  # bound of every later wait
    budget: int = 50  # retries in store
    budget_per_s: float = 10.0  # refill by time
    budget_per_answer: float = 0.2  # refill by each answered request

    def __post_init__(self) -> None:
        for name, least in (("max_attempts", 1), ("first_contact_attempts", 1), ("budget", 0)):
            valid_count(f"RetryPolicy.{name}", getattr(self, name), least)
        for name in ("initial_backoff_s", "max_backoff_s"):
            valid_duration_s(f"RetryPolicy.{name}", getattr(self, name), may_be_zero=True)
        for name in ("budget_per_s", "budget_per_answer"):
            value = getattr(self, name)
            _require(_is_number(value) and 0 <= value < math.inf, f"RetryPolicy.{name}", value, "0 or more")


@dataclass(frozen=True)
class RequestLimits:
    """How much is sent at once.

    Example:
        >>> RequestLimits(rows=16, in_flight=4)
        RequestLimits(rows=16, request_bytes=4194304, text_bytes=2097152, in_flight=4)
    """

    rows: int | None = None  # texts per request; None: the server's max_batch_size; 1: calls share none
    request_bytes: int = MAX_REQUEST_BYTES  # UTF-8 bytes of all texts of a request
    text_bytes: int = MAX_TEXT_BYTES  # UTF-8 bytes of one text (or pair); longer ones are refused
    in_flight: int = MAX_IN_FLIGHT  # requests of one call that are under way at the same time

    def __post_init__(self) -> None:
        if self.rows is not None:
            valid_count("RequestLimits.rows", self.rows, 1)
        for name in ("request_bytes", "text_bytes", "in_flight"):
            valid_count(f"RequestLimits.{name}", getattr(self, name), 1)


@dataclass(frozen=True)
class Tls:
    """Encryption, and with `certificate` and `private_key` the client's own identity (mutual TLS).

    All files are PEM. Without `authority` the certificate authorities that ship with gRPC are trusted.

    Example:
        >>> Client("triton.example:8001", tls=Tls(authority="authority.pem"))
        Client('triton.example:8001', model=None, timeout=30)
    """

    authority: Path | str | None = None  # certificates that may have signed the server's
    certificate: Path | str | None = None  # the client's own chain
    private_key: Path | str | None = None  # belongs to `certificate`
    server_name: str | None = None  # name in the server's certificate where it differs from the address

    def __post_init__(self) -> None:
        for name in ("authority", "certificate", "private_key"):
            valid_kind(
                f"Tls.{name}", getattr(self, name), (str, os.PathLike, type(None)), "the path of a PEM file"
            )
        if self.server_name is not None:
            valid_text("Tls.server_name", self.server_name, "a name")
        both_or_none = (self.certificate is None) == (self.private_key is None)
        _require(both_or_none, "Tls.certificate and Tls.private_key", "one of them", "both or neither")


@dataclass(frozen=True)
class Keepalive:
    """Pings that find a dead connection while requests are under way.

    Example:
        >>> Keepalive(interval_s=600)
        Keepalive(interval_s=600, timeout_s=20.0)
    """

    interval_s: float = KEEPALIVE_INTERVAL_S  # time between pings; under 300 s the server must allow it first
    timeout_s: float = KEEPALIVE_TIMEOUT_S  # a ping unanswered for this long ends the connection

    def __post_init__(self) -> None:
        valid_duration_s("Keepalive.interval_s", self.interval_s, MAX_KEEPALIVE_S)
        valid_duration_s("Keepalive.timeout_s", self.timeout_s, MAX_KEEPALIVE_S)


def valid_kind(name: str, value: object, kind: type | tuple[type, ...], expected: str) -> Any:  # noqa: ANN401
    """The value itself, if it is of the kind; what was found is not shown, as it may be a secret."""
    if not isinstance(value, kind):
        raise InvalidOptionError(f"{name}: expected {expected}, found {type(value).__name__}")
    return value


def valid_text(name: str, value: object, expected: str) -> str:
    """The string itself, if it is one that has UTF-8, as bytes of a command line that are none have not."""
    text = str(valid_kind(name, value, str, expected))
    _require(not _SURROGATE.search(text), name, text, "UTF-8")
    return text


def _require(condition: bool, name: str, found: object, expected: str) -> None:  # noqa: FBT001
    if not condition:
        raise InvalidOptionError(f"{name}: expected {expected}, found {found!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def valid_duration_s(
    name: str, seconds: float, longest_s: float = MAX_DURATION_S, *, may_be_zero: bool = False
) -> float:
    """The duration itself, if it is one that ends, and that gRPC can count."""
    # Written so that NaN, which is neither over nor under anything, is refused.
    in_range = _is_number(seconds) and (0 < seconds <= longest_s or (may_be_zero and seconds == 0))
    least = "0 or more" if may_be_zero else "over 0"
    _require(in_range, name, seconds, f"a number of seconds, {least} and at most {longest_s:,.0f}")
    return float(seconds)


def valid_timeout_s(timeout: float) -> float:
    """The timeout itself, if it is one that ends."""
    return valid_duration_s("timeout", timeout)


def valid_count(name: str, count: object, least: int) -> int:
    """The number itself, if it is a whole one, not below the least, and has room in a request."""
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise InvalidOptionError(f"{name}: expected a whole number of at least {least}, found {count!r}")
    if count > MAX_COUNT:
        raise InvalidOptionError(f"{name}: expected a whole number of at most {MAX_COUNT:,}, found {count:,}")
    return count
