"""Spans and figures of calls, and one trace from a client's call to the network in a real Triton."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bertriton import Client, DeadlineError, InvalidTextError, OverloadedError, RequestLimits, RetryPolicy
from bertriton_server import LocalServer, ServerConfig, Tracing, TracingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import ScriptedTriton
    from opentelemetry.sdk.trace import ReadableSpan

DEADLINE_S = 60.0
Spans = list[dict[str, Any]]  # as Triton tells them
SPANS_OF_A_CALL = 6
TRIES = 3  # Triton's exporter sends a batch once, and drops it where a busy machine takes too long
FLUSHED_AFTER_MS = 100


class Collected:
    """What a program's own providers have collected since the last look."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._figures = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(MeterProvider([self._figures]))
        self._seen: dict[str, float] = {}

    def clear(self) -> None:
        self._spans.clear()
        self._seen = self._sums()

    def spans(self, name: str) -> list[ReadableSpan]:
        found = [span for span in self._spans.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    @property
    def calls(self) -> list[ReadableSpan]:
        return self.spans("bertriton.classify")

    @property
    def requests(self) -> list[ReadableSpan]:
        return self.spans("inference.GRPCInferenceService/ModelInfer")

    def figures(self) -> dict[str, float]:
        """Sums of counters, and counts of histograms, since the last look."""
        return {name: value - self._seen.get(name, 0) for name, value in self._sums().items()}

    def _sums(self) -> dict[str, float]:
        data = self._figures.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            if scope.scope.name == "bertriton"
            for metric in scope.metrics
        ]
        return {
            metric.name.removeprefix("bertriton.client."): sum(
                point.count if hasattr(point, "count") else point.value for point in metric.data.data_points
            )
            for metric in found
        }


@pytest.fixture(scope="module")
def _providers() -> Collected:
    """A process has these once."""
    return Collected()


@pytest.fixture
def collected(_providers: Collected) -> Collected:
    _providers.clear()
    return _providers


@pytest.fixture
def traced(
    scripted: tuple[ScriptedTriton, Client], new_client: Callable[..., Client]
) -> tuple[ScriptedTriton, Client]:
    """A server that fails as it is told, and a client of either kind that tells of it."""
    triton, _ = scripted
    retry = RetryPolicy(initial_backoff_s=0.001)
    return triton, new_client(triton.url, retry=retry, limits=RequestLimits(rows=2), telemetry=True)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("bertriton."): value for name, value in (span.attributes or {}).items()}


def test_a_call_and_its_requests_are_spans(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    triton, client = traced
    with trace.get_tracer("program").start_as_current_span("work") as work:
        client.classify(["a", "b", "c"], request_id="mine")

    (call,) = collected.calls
    assert call.parent is not None
    assert call.parent.span_id == work.get_span_context().span_id
    assert attributes(call) == {"operation": "classify", "model": "imdb", "texts": 3}
    assert [attributes(span)["rows"] for span in collected.requests] == [2, 1]
    first, _ = collected.requests
    assert first.parent is not None
    assert call.context is not None
    assert first.parent.span_id == call.context.span_id
    assert first.kind is SpanKind.CLIENT
    host, port = triton.url.split(":")
    assert attributes(first) == {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "request_id": "mine-0",
        "server.address": host,
        "server.port": int(port),
        "model": "imdb",
        "rows": 2,
        "attempts": 1,
    }
    assert collected.figures() | {"refusals": 0, "retries": 0} == {
        "calls": 1,
        "texts": 3,
        "call.duration": 1,
        "request.duration": 2,
        "refusals": 0,
        "retries": 0,
    }


def test_the_server_is_told_whose_request_it_is(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    triton, client = traced
    client.classify("a")

    (span,) = collected.requests
    assert span.context is not None
    trace_id, span_id = f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"
    version, *ids, flags = triton.metadata["traceparent"].split("-")
    assert (version, ids) == ("00", [trace_id, span_id])
    assert int(flags, 16) & trace.TraceFlags.SAMPLED


def test_a_trace_that_is_not_kept_is_none_of_the_servers_business(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    """Triton traces whatever comes with a context, whether that says so or not."""
    triton, client = traced
    dropped = trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(0))
    with trace.use_span(trace.NonRecordingSpan(dropped)):
        client.classify("a")

    assert "traceparent" not in triton.metadata
    assert collected.requests == []
    assert collected.figures()["calls"] == 1  # figures are of all calls


def test_retries_and_refusals_are_told(traced: tuple[ScriptedTriton, Client], collected: Collected) -> None:
    triton, client = traced
    client.classify("a")
    collected.clear()
    triton.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    client.classify("a")

    (span,) = collected.requests
    assert attributes(span)["attempts"] == 3
    assert ["refused", "retry", "refused", "retry"] == [event.name for event in span.events]
    assert (collected.figures()["retries"], collected.figures()["refusals"]) == (2, 2)


def test_failures_are_told_by_their_class(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    triton, client = traced
    client.classify("a")
    collected.clear()
    triton.failures = [grpc.StatusCode.UNAVAILABLE] * 99
    with pytest.raises(OverloadedError):
        client.with_options(retry=RetryPolicy(max_attempts=2, initial_backoff_s=0.001)).classify("a")
    triton.failures = []
    triton.refused_texts = {b"bad"}
    with pytest.raises(InvalidTextError):
        client.classify(["bad", "good"])

    overloaded, refused = collected.calls
    assert attributes(overloaded)["error.type"] == "OverloadedError"
    assert overloaded.status.status_code is StatusCode.ERROR
    assert attributes(refused)["error.type"] == "InvalidTextError"
    assert [attributes(span).get("error.type") for span in collected.requests] == [
        "OverloadedError",
        "InvalidTextError",  # of both texts, then of the one that was refused
        "InvalidTextError",
    ]
    assert all(span.end_time for span in (*collected.calls, *collected.requests))


def test_a_request_without_an_answer_in_time_is_told(
    collected: Collected, new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    client = new_client(imdb_server.grpc_url, telemetry=True)
    client.classify("warm")
    collected.clear()
    with pytest.raises(DeadlineError):
        client.classify("a " * 9000, timeout=0.002, truncation="windows")

    (call,) = collected.calls
    assert attributes(call)["error.type"] == "DeadlineError"


def test_a_stream_that_is_left_ends_its_spans(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    _, client = traced
    answers = client.classify_iter(["a"] * 40)
    next(answers)
    answers.close()

    (call,) = collected.calls
    assert attributes(call)["error.type"] == "left"
    assert call.status.status_code is StatusCode.UNSET
    outcomes = [attributes(span).get("error.type") for span in collected.requests]
    assert outcomes[0] is None
    assert set(outcomes) <= {None, "left"}
    assert len(outcomes) > 1


@dataclass
class Collector:
    """Takes OTLP over HTTP, as an OpenTelemetry Collector does."""

    spans: list[dict[str, Any]] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    url: str = ""

    def take(self, body: bytes) -> None:
        for resource in json.loads(body)["resourceSpans"]:
            named = {one["key"]: one["value"] for one in resource["resource"]["attributes"]}
            self.services.add(named["service.name"]["stringValue"])
            self.spans += [span for scope in resource["scopeSpans"] for span in scope["spans"]]

    def spans_of(self, trace_id: str, count: int, *, patience_s: float) -> Spans:
        """The spans of a trace once there are so many; none where that takes longer."""
        until_s = time.monotonic() + patience_s
        while time.monotonic() < until_s:
            found = [span for span in self.spans if span["traceId"] == trace_id]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        return []


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Nothing goes to the tests' own output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def traced_server(imdb_repository: Path, collector: Collector) -> Iterator[LocalServer]:
    """A real Triton that sends its spans to the collector soon."""
    soon = (f"--trace-config=opentelemetry,bsp_schedule_delay={FLUSHED_AFTER_MS}",)
    sent = {"tracing": Tracing(collector.url, rate=1000), "arguments": soon}
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0, **sent)) as server:
        yield server


def traced_call(client: Client, collector: Collector, collected: Collected) -> tuple[ReadableSpan, Spans]:
    """The client's one request and Triton's spans of it."""
    for _ in range(TRIES):
        collected.clear()
        client.classify("What a lovely film.")
        (call,), (request,) = collected.calls, collected.requests
        assert call.context is not None
        trace_id = f"{call.context.trace_id:032x}"
        if spans := collector.spans_of(trace_id, SPANS_OF_A_CALL, patience_s=DEADLINE_S / TRIES):
            return request, spans
    raise AssertionError([span["name"] for span in collector.spans])


def test_one_trace_leads_from_the_call_to_the_network(
    traced_server: LocalServer, collector: Collector, collected: Collected, new_client: Callable[..., Client]
) -> None:
    request, spans = traced_call(new_client(traced_server.grpc_url, telemetry=True), collector, collected)

    assert request.context is not None
    id_to_name = {span["spanId"]: span["name"] for span in spans}
    id_to_name[f"{request.context.span_id:016x}"] = "the client's request"
    assert sorted((id_to_name[span["parentSpanId"]], span["name"]) for span in spans) == [
        ("InferRequest", "imdb"),
        ("imdb", "imdb_bert"),
        ("imdb", "imdb_tokenizer"),
        ("imdb_bert", "compute"),
        ("imdb_tokenizer", "compute"),
        ("the client's request", "InferRequest"),
    ]
    assert collector.services == {"tritonserver"}
    # One clock, so that Triton's part lies within the client's.
    (network,) = [span for span in spans if span["name"] == "imdb_bert"]
    assert request.start_time is not None
    assert request.end_time is not None
    assert request.start_time < int(network["startTimeUnixNano"]) < request.end_time


def test_a_client_without_telemetry_begins_no_trace(
    traced_server: LocalServer, collector: Collector, collected: Collected, new_client: Callable[..., Client]
) -> None:
    traced_call(new_client(traced_server.grpc_url, telemetry=True), collector, collected)
    before = {span["traceId"] for span in collector.spans}
    client = new_client(traced_server.grpc_url)
    for _ in range(5):
        client.classify("plain")
    time.sleep(10 * FLUSHED_AFTER_MS / 1000)

    assert {span["traceId"] for span in collector.spans} == before
    assert len(collected.calls) == 1


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://host/v1/traces", "http://", ""])
def test_what_is_no_collector_is_refused(url: str) -> None:
    with pytest.raises(TracingError, match="trace_url: expected the address of a collector"):
        Tracing(url)


def in_fresh_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    script = "import sys, bertriton; bertriton.Client({}); print('opentelemetry' in sys.modules)"

    assert in_fresh_python(script.format("'localhost:1'")) == "False"
    assert in_fresh_python(script.format("'localhost:1', telemetry=True")) == "True"


def test_a_missing_extra_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None\nimport bertriton\n"
        "try: bertriton.Client(telemetry=True)\nexcept bertriton.InvalidOptionError as error: print(error)"
    )

    assert in_fresh_python(script).endswith("is not installed: pip install 'bertriton[otel]'")


def test_the_guide_names_every_span_and_figure(
    traced: tuple[ScriptedTriton, Client], collected: Collected
) -> None:
    triton, client = traced
    triton.failures = [grpc.StatusCode.UNAVAILABLE]
    client.classify("a")

    guide = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
    assert {f"bertriton.client.{name}" for name in collected.figures()} == set(
        re.findall(r"^\| `(bertriton\.client\.[a-z.]+)`", guide, re.MULTILINE)
    )
    names = {name for span in (*collected.calls, *collected.requests) for name in span.attributes or {}}
    assert {name for name in names if not name.startswith("rpc.") and f"`{name}`" not in guide} == set()
