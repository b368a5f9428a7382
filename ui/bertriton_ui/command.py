"""`bertriton ui`: the page, until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import webbrowser
from typing import TYPE_CHECKING, Any, Final

import click
import uvicorn

from bertriton import AsyncClient
from bertriton._commands import access_settings, connection_options, errors_in_one_line, option
from bertriton_ui.app import page_app
from bertriton_ui.errors import AddressTakenError
from bertriton_ui.guard import LOOPBACK

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PAGE_PORT: Final = 8080
_STOP_TIMEOUT_S: Final = 2  # for answers that somebody still waits for


@click.command(name="ui")
@option(
    "--page-port",
    type=click.IntRange(0, 65535),
    default=PAGE_PORT,
    show_default=True,
    help="Port of the page; 0 takes any free one.",
)
@option("--open-browser", is_flag=True, help="Open the page in the browser.")
@connection_options
def ui_command(*, page_port: int, open_browser: bool, **connection: Any) -> None:  # noqa: ANN401  # click's own
    """Show a page to try the classifiers of a running server on, until Ctrl-C.

    Only browsers on this machine can open the page. The server may be elsewhere.
    """
    with errors_in_one_line():
        settings = access_settings(**connection)
        AsyncClient(**settings)  # a wrong setting is told before anything listens
        app = page_app(lambda: AsyncClient(**settings), settings["url"], settings["model"])
        with _listening(page_port) as listener:
            _serve(app, listener, open_browser=open_browser)


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        # A port that an earlier page has just left is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as exc:
        listener.close()
        raise AddressTakenError(
            f"cannot listen on {LOOPBACK}:{port}: {exc.strerror}; --page-port=0 takes a free port", port
        ) from exc
    return listener


def _serve(app: ASGIApp, listener: socket.socket, *, open_browser: bool) -> None:
    address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    click.echo(f"{click.style('ready', bold=True, fg='green')}, Ctrl-C stops")
    click.echo(f"  {click.style('page', dim=True)}    {address}")
    if open_browser:
        webbrowser.open(address)
    config = uvicorn.Config(
        app, log_level="warning", server_header=False, timeout_graceful_shutdown=_STOP_TIMEOUT_S
    )
    # uvicorn stops at either, and then hands it on to what was there before.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
