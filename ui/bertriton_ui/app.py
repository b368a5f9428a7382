"""The page's own server: its files, the list of classifiers, and answers to questions."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bertriton import AsyncClient, BertritonError, UsageError
from bertriton_ui.errors import BadRequestError
from bertriton_ui.guard import Guard
from bertriton_ui.questions import Question, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

MAX_QUESTION_BYTES: Final = 4 * 1024 * 1024  # of JSON, in which a text of the client's limit has room
_FILES: Final = Path(__file__).parent / "static"
_JSON_TYPE: Final = "application/json"


def page_app(new_client: Callable[[], AsyncClient], server: str, preferred: str | None = None) -> ASGIApp:
    """The page and what it asks, as an ASGI application.

    Args:
        new_client: makes the client that asks the server; called in the event loop.
        server: what the page calls that server.
        preferred: the classifier that is chosen at first; default: the first one.
    """
    clients: list[AsyncClient] = []

    @asynccontextmanager
    async def connected(_: Starlette) -> AsyncIterator[None]:
        async with new_client() as client:
            clients.append(client)
            yield

    async def models(_: Request) -> JSONResponse:
        served = await clients[0].models()
        found = [asdict(one) for one in served]
        return JSONResponse({"server": server, "preferred": preferred, "models": found})

    async def classify(request: Request) -> JSONResponse:
        question = Question.of(await _json_body(request))
        return JSONResponse(await answer(clients[0], question))

    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/api/models", models),
            Route("/api/classify", classify, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_FILES)),
        ],
        exception_handlers={BertritonError: _told},
        lifespan=connected,
    )
    return Guard(app)


async def _page(_: Request) -> FileResponse:
    return FileResponse(_FILES / "page.html", media_type="text/html")


async def _json_body(request: Request) -> bytes:
    """What was sent, if it says that it is JSON: that a form of another page cannot say."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON_TYPE:
        raise BadRequestError(f"expected {_JSON_TYPE}")
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_QUESTION_BYTES:
            raise BadRequestError(f"expected at most {MAX_QUESTION_BYTES:,} bytes")
    return bytes(body)


async def _told(_: Request, error: Any) -> JSONResponse:  # noqa: ANN401  # Starlette's signature
    is_askers = isinstance(error, UsageError | BadRequestError)
    words = " ".join(str(error).split())
    return JSONResponse({"error": words, "retryable": error.retryable}, status_code=400 if is_askers else 502)
