"""Spans and figures through OpenTelemetry's API; the only module that imports it.

Names follow its conventions where there are some: https://opentelemetry.io/docs/specs/semconv/rpc/.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bertriton._errors import BertritonError
from bertriton._telemetry.silence import CallTrace, Metadata, RequestTrace, Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

SCOPE: Final = "bertriton"  # of spans and figures, as collectors tell libraries apart
_SERVICE: Final = "inference.GRPCInferenceService"
_METHOD: Final = "ModelInfer"
_LEFT: Final = "left"  # how a call or request ended that its caller did not wait for
_DURATIONS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_PROPAGATOR: Final = TraceContextTextMapPropagator()  # W3C's, the only one that Triton reads

Attributes = dict[str, "str | int"]


class OpenTelemetry(Telemetry):
    """A client's calls, as spans and figures of whatever providers are set.

    Args:
        host: of the server.
        port: likewise.
    """

    def __init__(self, host: str, port: int | None) -> None:
        self.server: Attributes = {"server.address": host} | ({} if port is None else {"server.port": port})
        self.tracer = trace.get_tracer(SCOPE)
        meter = metrics.get_meter(SCOPE)
        self.calls = meter.create_counter("bertriton.client.calls", "{call}", "Calls that have ended.")
        self.texts = meter.create_counter("bertriton.client.texts", "{text}", "Texts that were answered.")
        self.retries = meter.create_counter("bertriton.client.retries", "{retry}", "Requests sent again.")
        self.refusals = meter.create_counter(
            "bertriton.client.refusals", "{try}", "Tries that nobody took: overload, or no connection."
        )
        self.call_duration = meter.create_histogram(
            "bertriton.client.call.duration",
            "s",
            "From a call to its last answer.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self.request_duration = meter.create_histogram(
            "bertriton.client.request.duration",
            "s",
            "From a request to its answer, retries included.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )

    def call(self, operation: str) -> CallTrace:
        return _Call(self, operation)


class _Call(CallTrace):
    """A span of a call, below the one that is current where it begins."""

    def __init__(self, telemetry: OpenTelemetry, operation: str) -> None:
        self._telemetry = telemetry
        self._began_s = time.monotonic()
        self._attributes: Attributes = {"bertriton.operation": operation}
        self._span = telemetry.tracer.start_span(f"bertriton.{operation}", attributes=self._attributes)

    def found(self, model: str, version: str) -> None:
        self._attributes["bertriton.model"] = model
        self._span.set_attribute("bertriton.model", model)
        if version:
            self._span.set_attribute("bertriton.version", version)
        self._span.add_event("classifier found")

    def request(self, rows: int, request_id: str) -> RequestTrace:
        model = {key: value for key, value in self._attributes.items() if key == "bertriton.model"}
        return _Request(self._telemetry, self._span, model, rows, request_id)

    def ended(self, texts: int, error: BaseException | None = None) -> None:
        outcome = _outcome(error)
        self._span.set_attributes({"bertriton.texts": texts, **outcome})
        _end(self._span, error)
        labels = self._attributes | outcome
        self._telemetry.calls.add(1, labels)
        self._telemetry.texts.add(texts, self._attributes)
        self._telemetry.call_duration.record(time.monotonic() - self._began_s, labels)


class _Request(RequestTrace):
    """A span of a request, below its call's."""

    def __init__(
        self, telemetry: OpenTelemetry, call: Span, model: Mapping[str, str | int], rows: int, request_id: str
    ) -> None:
        self._telemetry = telemetry
        self._model = dict(model)
        self._began_s = time.monotonic()
        self._has_ended = False
        self._span = telemetry.tracer.start_span(
            f"{_SERVICE}/{_METHOD}",
            context=trace.set_span_in_context(call),
            kind=SpanKind.CLIENT,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": _SERVICE,
                "rpc.method": _METHOD,
                "bertriton.rows": rows,
                "bertriton.request_id": request_id,
                **telemetry.server,
                **self._model,
            },
        )
        self.metadata = _metadata(self._span)

    def refused(self, error: BertritonError) -> None:
        self._telemetry.refusals.add(1, self._model | {"error.type": type(error).__name__})
        self._span.add_event("refused", {"error.type": type(error).__name__, "message": error.message})

    def retried(self, wait_s: float) -> None:
        self._telemetry.retries.add(1, self._model)
        self._span.add_event("retry", {"wait_s": wait_s})

    def ended(self, attempts: int, error: BaseException | None = None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        outcome = _outcome(error)
        self._span.set_attributes({"bertriton.attempts": attempts, **outcome})
        _end(self._span, error)
        self._telemetry.request_duration.record(time.monotonic() - self._began_s, self._model | outcome)


def _metadata(span: Span) -> Metadata:
    """W3C's headers of a span that is kept; a Triton that traces takes each that comes, kept or not."""
    if not span.get_span_context().trace_flags.sampled:
        return ()
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return tuple(carrier.items())


def _outcome(error: BaseException | None) -> Attributes:
    """What tells failures apart; nothing for a success."""
    if error is None:
        return {}
    return {"error.type": type(error).__name__ if isinstance(error, Exception) else _LEFT}


def _end(span: Span, error: BaseException | None) -> None:
    if isinstance(error, Exception):
        words = error.message if isinstance(error, BertritonError) else str(error)
        span.set_status(Status(StatusCode.ERROR, words))
    span.end()
