"""What stands between the page and other people's pages in the same browser.

Three things keep a stranger's page from asking the server through this one. The Host header must name this
machine, so that a name that was made to point here afterwards gets nothing (DNS rebinding). A request that
says where it comes from must come from here. And nothing but this server's own files runs in the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = "127.0.0.1"
_OWN_NAMES: Final = (LOOPBACK, "localhost")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Texts and answers stay out of the browser's cache, and a newer version's files come at once.
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI application that lets through what this page itself asks.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = _refusal(Headers(scope=scope))
        app = PlainTextResponse(refusal, status_code=403) if refusal else self._app
        await app(scope, receive, send_with_headers)


def _refusal(headers: Headers) -> str:
    """Why a request is not answered; empty if it is."""
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _OWN_NAMES:
        return f"this page is at {' or '.join(_OWN_NAMES)} only"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "this page answers no other page"
    return ""
