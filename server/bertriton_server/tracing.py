"""Where Triton sends the spans of its requests, and of how many.

Flags of Triton: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/trace.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bertriton_server.errors import TracingError

TRACE_RATE: Final = 100
SERVICE_NAME: Final = "tritonserver"  # as the spans' resource has it


@dataclass(frozen=True)
class Tracing:
    """Spans in OpenTelemetry's way: of a request, of each of its models, and of queue and computing in each.

    A request that brings a W3C context in its headers or gRPC metadata, as those of a client with
    `telemetry=True` do, is always traced, below the span that it names.

    Example:
        >>> Tracing("http://localhost:4318/v1/traces", rate=1).arguments()[0]
        '--trace-config=mode=opentelemetry'
    """

    url: str  # of a collector that takes OTLP over HTTP, as http://localhost:4318/v1/traces
    rate: int = TRACE_RATE  # of the requests that bring no context, one in so many is traced

    def __post_init__(self) -> None:
        """Refuse what Triton would not understand, or take for something else."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TracingError(
                "trace_url: expected the address of a collector that takes OTLP over HTTP, such as "
                f"http://localhost:4318/v1/traces, found {self.url!r}"
            )
        if self.rate < 1:
            raise TracingError(f"trace_rate: expected a whole number of at least 1, found {self.rate}")

    def arguments(self) -> list[str]:
        """The flags of tritonserver."""
        settings = (
            "mode=opentelemetry",
            "level=TIMESTAMPS",
            f"rate={self.rate}",
            f"opentelemetry,url={self.url}",
            f"opentelemetry,resource=service.name={SERVICE_NAME}",
        )
        return [f"--trace-config={setting}" for setting in settings]
