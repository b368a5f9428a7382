"""Waiting until a tritonserver and all its models answer, and finding out why not."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import ModelsNotReadyError, StartTimeoutError
from bertriton_server.process.ports import is_listening

if TYPE_CHECKING:
    from collections.abc import Collection

    from bertriton_server.process.server_process import ServerProcess

_REQUEST_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_OK: Final = 200
_READY: Final = "READY"
_LOADING: Final = "LOADING"
_FAILED: Final = "UNAVAILABLE"
_NO_GPU: Final = "has kind KIND_GPU but no GPUs are available"  # what Triton says
_NO_GPU_ADVICE: Final = "; serve it on a machine with one, or export it again with --target cpu"
_UNLOADED: Final = "unloaded"  # the reason given for a model that was taken out on purpose


@dataclass(frozen=True)
class HttpEndpoint:
    """Where a server answers HTTP requests, or soon will."""

    host: str
    port: int

    def is_ready(self) -> bool:
        """Whether the server and all models it was to load answer; False while nothing listens."""
        return self._answer("GET", "/v2/health/ready") is not None

    def model_states(self) -> list[ModelState] | None:
        """Triton's repository index; None while nothing listens."""
        body = self._answer("POST", "/v2/repository/index")
        if body is None:
            return None
        index = json.loads(body)
        return [ModelState(model["name"], model.get("state", ""), model.get("reason", "")) for model in index]

    def _answer(self, method: str, path: str) -> bytes | None:
        # http.client rather than urllib: a proxy set in the environment must not come between.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_REQUEST_TIMEOUT_S)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return body if response.status == _OK else None


@dataclass(frozen=True)
class ModelState:
    """One version of one model in Triton's repository index."""

    name: str
    state: str  # READY, LOADING, UNLOADING, UNAVAILABLE, or empty: never tried
    reason: str  # why it is not ready, in Triton's words

    @property
    def has_failed(self) -> bool:
        """Whether it was to be loaded and could not be."""
        return self.state == _FAILED and self.reason != _UNLOADED


def wait_until_ready(
    process: ServerProcess,
    endpoint: HttpEndpoint,
    expected_models: Collection[str],
    others: Collection[tuple[str, int]],
    timeout_s: float,
) -> None:
    """Return once the server and all its models answer, and its `others` (host, port) take connections.

    Raises:
        ModelsNotReadyError: models failed to load, or Triton passed over expected ones.
        ServerExitedError: the server ended.
        StartTimeoutError: it takes longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        process.require_running()
        states = endpoint.model_states()
        if states is not None:
            if reasons := _failures(process, states, expected_models):
                raise ModelsNotReadyError(reasons)
            # Triton starts its services one after the other, metrics last.
            if endpoint.is_ready() and all(is_listening(*address) for address in others):
                return
        time.sleep(_POLL_S)
    raise StartTimeoutError(timeout_s, process.log_tail())


def ready_models(endpoint: HttpEndpoint) -> tuple[str, ...]:
    """Names of the models that answer requests, sorted."""
    return tuple(sorted({state.name for state in endpoint.model_states() or () if state.state == _READY}))


def _failures(
    process: ServerProcess, states: list[ModelState], expected_models: Collection[str]
) -> dict[str, str]:
    failed = {state.name: _advised(state.reason) for state in states if state.has_failed}
    # Triton calls itself ready with models whose config it could not read: it only mentions them in its log.
    alive = {state.name for state in states if state.state in (_READY, _LOADING)}
    for model in set(expected_models) - alive - failed.keys():
        failed[model] = process.log.refusal_of(model) or "Triton did not load it and does not say why"
    return failed


def _advised(reason: str) -> str:
    """Triton's words, with what to do where they do not say it."""
    return reason + _NO_GPU_ADVICE if _NO_GPU in reason else reason
