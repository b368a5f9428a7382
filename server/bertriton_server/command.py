"""`bertriton serve`: a tritonserver in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from bertriton_server.cpu_fit import misfits
from bertriton_server.errors import ServerError
from bertriton_server.local_server import LOOPBACK, START_TIMEOUT_S, LocalServer, ServerConfig
from bertriton_server.options import (
    GRPC_PORT,
    HTTP_PORT,
    METRICS_PORT,
    MODEL_REPOSITORY,
    port_option,
    server_option,
)
from bertriton_server.runtime import progress
from bertriton_server.security import Security
from bertriton_server.supervision import MAX_FAILED_RESTARTS, Rules, Supervisor
from bertriton_server.tracing import TRACE_RATE, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

_file = partial(server_option, show_default=False, type=click.Path(dir_okay=False, path_type=Path))


@click.command("serve")
@server_option(
    "--model-repository",
    type=click.Path(path_type=Path),
    default=MODEL_REPOSITORY,
    help="Model repository: a folder that holds one folder per model.",
)
@server_option("--host", default=LOOPBACK, help="Name or IPv4 address to listen on.")
@port_option("--http-port", default=HTTP_PORT, help="HTTP port; 0 takes any free one.")
@port_option("--grpc-port", default=GRPC_PORT, help="gRPC port; 0 takes any free one.")
@port_option("--metrics-port", default=METRICS_PORT, help="Port of the metrics; 0 takes any free one.")
@server_option(
    "--metrics-host",
    default=LOOPBACK,
    help="Name or IPv4 address for the metrics, which need no key.",
)
@server_option(
    "--start-timeout",
    "start_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=START_TIMEOUT_S,
    metavar="SECONDS",
    help="How long the models may take to load.",
)
@_file("--tls-cert", help="The server's certificate (PEM); encrypts gRPC.")
@_file("--tls-key", help="The private key of --tls-cert (PEM).")
@_file(
    "--tls-client-ca",
    help="Authorities (PEM) of client certificates, which are then required (mutual TLS).",
)
@server_option(
    "--api-key",
    show_default=False,
    help="A key that every request must carry, of letters and digits. Set the variable instead: other users "
    "of this machine can see options.",
)
@server_option(
    "--model-control",
    is_flag=True,
    help="Let clients load and unload models. Needs `-- --model-control-mode=explicit`.",
)
@server_option(
    "--trace-url",
    show_default=False,
    help="Send spans of requests to this OpenTelemetry collector (OTLP over HTTP), such as "
    "http://localhost:4318/v1/traces.",
)
@server_option(
    "--trace-rate",
    type=click.IntRange(min=1),
    default=TRACE_RATE,
    help="Trace one request in this many. Requests with a W3C trace context are always traced.",
)
@server_option(
    "--restarts",
    type=click.IntRange(min=0),
    default=MAX_FAILED_RESTARTS,
    help="Failed restarts in a row after which a broken server is given up; 0 never restarts it.",
)
@server_option("--verbose", is_flag=True, help="Show Triton's own log on stderr.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- TRITONSERVER_FLAGS...]")
def serve_command(*, verbose: bool, restarts: int, **settings: Any) -> None:  # noqa: ANN401 - checked by click, named by ServerConfig
    """Serve a model repository on this machine until Ctrl-C.

    Uses the installed tritonserver, else one from pip, which is fetched on first use. If a process of the
    server ends, is stopped or hangs, the server is restarted on the same ports. What follows `--` is passed
    to tritonserver as it is.
    """
    try:
        with _sigterm_as_ctrl_c():
            _serve_until_interrupted(_config(settings), Rules(max_failed_restarts=restarts), verbose=verbose)
    except KeyboardInterrupt:
        # While it started, or for the second time: it has left nothing behind then either.
        click.echo("stopped", err=True)
    except ServerError as exc:
        raise click.ClickException(exc.summary) from exc


def _config(settings: dict[str, Any]) -> ServerConfig:
    url, rate = settings.pop("trace_url"), settings.pop("trace_rate")
    tracing = Tracing(url, rate) if url else None
    security = {field.name: settings.pop(field.name) for field in fields(Security)}
    return ServerConfig(**settings, tracing=tracing, security=Security(**security))


def _serve_until_interrupted(config: ServerConfig, rules: Rules, *, verbose: bool) -> None:
    loading = f"loading the models of {config.model_repository}"
    for misfit in misfits(config.model_repository):
        _say(f"warning: {misfit}")
    server = LocalServer(config, log_stream=sys.stderr if verbose else None)
    try:
        if verbose:  # a spinner would stand between the lines of the log
            _say(loading)
            server.start()
        else:
            with progress(loading):
                server.start()
        supervisor = Supervisor(server, rules, _say)
        _announce_and_watch(server, supervisor)
        _say("stopping once the requests in flight are answered; Ctrl-C again stops at once")
        supervisor.stop()
    finally:
        # After a second Ctrl-C, or when it died by itself; else it has stopped already.
        server.stop(grace_s=0)


def _announce_and_watch(server: LocalServer, supervisor: Supervisor) -> None:
    """Return when interrupted; raise when the server is ill and cannot be healed."""
    try:
        _announce(server)
        supervisor.watch()
    except KeyboardInterrupt:
        return


def _say(line: str) -> None:
    click.echo(line, err=True)


def _announce(server: LocalServer) -> None:
    lines = {
        "gRPC": server.grpc_url,
        "HTTP": server.http_url,
        "metrics": server.metrics_url,
        "models": ", ".join(server.models()),
    }
    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold green]ready[/], Ctrl-C stops")
    for label, value in lines.items():
        console.print(f"  [dim]{label:<8}[/]{escape(value)}")
    sys.stdout.flush()
    if server.shows_secrets:
        _say("warning: keys stay on tritonserver's command line, for every user of this machine to read")


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
