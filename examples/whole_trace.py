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

SPANS_OF_A_CALL = 8  # two of the client; Triton's of the request, of three models, and of two that compute
WARM_UPS = 20
DEADLINE_S = 30.0
BAR_CELLS = 32
NS_PER_MS = 1e6


@dataclass(frozen=True)
class Span:
    """What is shown of a span, whoever it comes from."""

    name: str
    trace_id: str
    own_id: str
    parent_id: str
    start_ns: int
    end_ns: int

    @classmethod
    def of_client(cls, span: ReadableSpan) -> Span:
        """As the SDK has it."""
        parent = f"{span.parent.span_id:016x}" if span.parent else ""
        whole, own = (
            (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}") if span.context else ("", "")
        )
        return cls(span.name, whole, own, parent, span.start_time or 0, span.end_time or 0)

    @classmethod
    def of_triton(cls, span: dict[str, Any]) -> Span:
        """As Triton sends it, in JSON."""
        times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        return cls(span["name"], span["traceId"], span["spanId"], span.get("parentSpanId", ""), *times)


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


class Traces:
    """Both halves of every trace, as they come in."""

    def __init__(self) -> None:
        self._of_client = InMemorySpanExporter()
        self.of_triton: list[Span] = []
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._of_client))
        trace.set_tracer_provider(provider)

    def of_calls(self, count: int) -> list[list[Span]]:
        """The spans of so many calls whose traces are whole; Triton drops spans on a busy machine."""
        until_s = time.monotonic() + DEADLINE_S
        while True:
            own = [Span.of_client(span) for span in self._of_client.get_finished_spans()]
            spans = [*own, *self.of_triton]
            calls = [span.trace_id for span in own if not span.parent_id]
            found = [[span for span in spans if span.trace_id == call] for call in calls]
            whole = [call for call in found if len(call) == SPANS_OF_A_CALL]
            if len(whole) >= count:
                return whole[:count]
            if time.monotonic() > until_s:
                raise TimeoutError(f"{len(whole)} of {count} traces were whole after {DEADLINE_S:.0f} s")
            time.sleep(0.05)


@contextmanager
def traced_server(repository: Path) -> Iterator[tuple[LocalServer, Traces]]:
    """A warm server that sends its spans here."""
    traces = Traces()
    with collector(traces.of_triton) as url:
        soon = ("--trace-config=opentelemetry,bsp_schedule_delay=100",)
        with LocalServer(ServerConfig(repository, tracing=Tracing(url), arguments=soon)) as server:
            with Client(server.grpc_url) as client:
                for _ in range(WARM_UPS):
                    client.classify("Warm up.")
            yield server, traces


def in_order(spans: list[Span]) -> list[tuple[int, Span]]:
    """The spans of one trace with their depths: each below its parent, the earlier first."""

    def below(parent: str, depth: int) -> Iterator[tuple[int, Span]]:
        for span in sorted(spans, key=lambda span: span.start_ns):
            if span.parent_id == parent:
                yield depth, span
                yield from below(span.own_id, depth + 1)

    return list(below("", 0))


def show(spans: list[Span]) -> None:
    """Print the spans below one another, each with its time and a bar."""
    first, last = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    cell_ns = (last - first) / BAR_CELLS
    for depth, span in in_order(spans):
        lead = int((span.start_ns - first) / cell_ns)
        bar = "█" * max(1, round((span.end_ns - span.start_ns) / cell_ns))
        name = "  " * depth + span.name.rpartition("/")[2]
        took_ms = (span.end_ns - span.start_ns) / NS_PER_MS
        print(f"{name:<30} {took_ms:8.2f} ms  {' ' * lead}{bar}")


def main(repository: Path, text: str) -> None:
    """Serve, and show one call."""
    with traced_server(repository) as (server, traces):
        with Client(server.grpc_url, telemetry=True) as client:
            client.is_ready()  # connects; a probe is no call and leaves no span
            print(client.classify(text))
        (spans,) = traces.of_calls(1)
    show(spans)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
