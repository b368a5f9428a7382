"""What is told of calls and requests to whoever collects traces and metrics: nothing, unless it is asked for.

In: the moments of a call, from clients and wire. Out: spans and figures through OpenTelemetry's API, which is
imported only where it is asked for; what collects them is the program's own.
"""

from __future__ import annotations

from bertriton._errors import InvalidOptionError
from bertriton._telemetry.silence import (
    NO_TELEMETRY,
    SILENT_CALL,
    SILENT_REQUEST,
    CallTrace,
    RequestTrace,
    Telemetry,
)

__all__ = [
    "NO_TELEMETRY",
    "SILENT_CALL",
    "SILENT_REQUEST",
    "CallTrace",
    "RequestTrace",
    "Telemetry",
    "open_telemetry",
]


def open_telemetry(host: str, port: int | None) -> Telemetry:
    """Spans and figures of a client, through the providers that the program has set up.

    Args:
        host: of the server, as spans name it.
        port: likewise.

    Raises:
        InvalidOptionError: opentelemetry-api is not installed.
    """
    try:
        from bertriton._telemetry.spans import OpenTelemetry  # noqa: PLC0415  # only where it is asked for
    except ModuleNotFoundError as exc:
        raise InvalidOptionError(
            f"telemetry: {exc.name} is not installed: pip install 'bertriton[otel]'"
        ) from exc
    return OpenTelemetry(host, port)
