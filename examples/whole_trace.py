"""One call from the client to the network in Triton, as one trace: where a slow request spent its time.

    pip install 'bertriton[export,serve,otel]' opentelemetry-sdk
    python examples/whole_trace.py model_repository "What a lovely film."

Both halves of the trace end in this program. In earnest they go to an OpenTelemetry Collector: the client's
by the exporter of your choice, Triton's by `bertriton serve --trace-url`.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bertriton import Client
from bertriton_server import LocalServer, ServerConfig, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

TRITON_SPANS = 6  # of the request, of each of the three models, and of two that compute
DEADLINE_S = 30.0
BAR_CELLS = 32
NS_PER_MS = 1e6


@dataclass(frozen=True)
class Span:
    """What is shown of a span, whoever it comes from."""

    name: str
    own_id: str
    parent_id: str
    start_ns: int
    end_ns: int

    @classmethod
    def of_client(cls, span: ReadableSpan) -> Span:
        """As the SDK has it."""
        parent = f"{span.parent.span_id:016x}" if span.parent else ""
        own = f"{span.context.span_id:016x}" if span.context else ""
        return cls(span.name, own, parent, span.start_time or 0, span.end_time or 0)

    @classmethod
    def of_triton(cls, span: dict[str, Any]) -> Span:
        """As Triton sends it, in JSON."""
        times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        return cls(span["name"], span["spanId"], span["parentSpanId"], *times)


@contextmanager
def collector(spans: list[Span]) -> Iterator[str]:
    """Take Triton's spans; what is yielded is where they are to be sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take some."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            scopes = [scope for resource in body["resourceSpans"] for scope in resource["scopeSpans"]]
            spans.extend(Span.of_triton(span) for scope in scopes for span in scope["spans"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
            """Keep the picture clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        server.shutdown()


def show(spans: list[Span]) -> None:
    """Print the spans below one another, each with its time and a bar."""
    first, last = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    cell_ns = (last - first) / BAR_CELLS

    def below(parent: str, depth: int) -> None:
        for span in sorted(spans, key=lambda span: span.start_ns):
            if span.parent_id == parent:
                lead = int((span.start_ns - first) / cell_ns)
                bar = "█" * max(1, round((span.end_ns - span.start_ns) / cell_ns))
                name = "  " * depth + span.name.rpartition("/")[2]
                took_ms = (span.end_ns - span.start_ns) / NS_PER_MS
                print(f"{name:<30} {took_ms:8.2f} ms  {' ' * lead}{bar}")
                below(span.own_id, depth + 1)

    below("", 0)


def main(repository: Path, text: str) -> None:
    """Serve, ask once to warm up and once to be seen."""
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    trace.set_tracer_provider(provider)
    spans: list[Span] = []
    with collector(spans) as url:
        soon = ("--trace-config=opentelemetry,bsp_schedule_delay=100",)
        with LocalServer(ServerConfig(repository, tracing=Tracing(url), arguments=soon)) as server:
            with Client(server.grpc_url, telemetry=True) as client:
                client.is_ready()  # a probe, which is no call and leaves no span
                print(client.classify(text))
            until_s = time.monotonic() + DEADLINE_S
            while len(spans) < TRITON_SPANS and time.monotonic() < until_s:
                time.sleep(0.05)
    show([*map(Span.of_client, own.get_finished_spans()), *spans])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
