"""A web service around one client: `uvicorn fastapi_service:app`, then POST {"text": ...} to /classify."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator  # noqa: TC003  # FastAPI reads annotations
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response, status
from pydantic import BaseModel

from bertriton import AsyncClient, InvalidTextError, OverloadedError, ServiceError

TRITON_URL = os.environ.get("BERTRITON_URL", "localhost:8001")
TIMEOUT_S = 5.0  # a visitor of a web page does not wait longer


class Question(BaseModel):
    """What is posted."""

    text: str


class Answer(BaseModel):
    """What comes back."""

    label: str
    score: float
    truncated: bool


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one client per process; it connects at the first request and reconnects by itself."""
    async with AsyncClient(TRITON_URL, timeout=TIMEOUT_S) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def shared_client(request: Request) -> AsyncClient:
    """The client of this process."""
    client: AsyncClient = request.app.state.client
    return client


SharedClient = Annotated[AsyncClient, Depends(shared_client)]


@app.post("/classify")
async def classify(question: Question, client: SharedClient) -> Answer:
    """Classify one text."""
    answer = await client.classify(question.text)
    return Answer(label=answer.label, score=answer.score, truncated=answer.truncated)


@app.get("/ready")
async def ready(client: SharedClient, response: Response) -> dict[str, bool]:
    """Whether texts can be classified now, for a load balancer."""
    is_ready = await client.is_ready()
    if not is_ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"ready": is_ready}


@app.exception_handler(InvalidTextError)
async def refuse_text(_: Request, error: InvalidTextError) -> Response:
    """The visitor's mistake."""
    return Response(error.message, status.HTTP_400_BAD_REQUEST)


@app.exception_handler(ServiceError)
async def report_failure(_: Request, error: ServiceError) -> Response:
    """Not the visitor's mistake: say whether to come back later."""
    overloaded = isinstance(error, OverloadedError)
    code = status.HTTP_429_TOO_MANY_REQUESTS if overloaded else status.HTTP_503_SERVICE_UNAVAILABLE
    return Response("try again later" if error.retryable else "out of order", code)
