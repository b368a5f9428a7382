"""Waiting until a tritonserver and all its models answer, and finding out why not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import ModelsNotReadyError, StartTimeoutError
from bertriton_server.process.ports import is_listening

if TYPE_CHECKING:
    from collections.abc import Collection

    from bertriton_server.process.http_probe import HttpEndpoint
    from bertriton_server.process.server_process import ServerProcess

_POLL_S: Final = 0.05
_READY: Final = "READY"
_LOADING: Final = "LOADING"
_FAILED: Final = "UNAVAILABLE"
# What Triton says -> what to do.
_WORDS_TO_ADVICE: Final = {
    "has kind KIND_GPU but no GPUs are available": (
        "; serve it on a machine with one, or export it again with --target cpu"
    ),
    "at least one version must be available under the version policy": (
        ": it has no folder of a version, as 1/; export it here (in a checkout of bertriton, whose weights "
        "git does not keep: `bertriton export checkpoints/imdb-minilm --name imdb`), or serve another folder"
    ),
}
_UNLOADED: Final = "unloaded"  # the reason given for a model that was taken out on purpose


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
        StartError: somebody has stopped one of its processes.
        StartTimeoutError: it takes longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        process.require_running()
        process.require_unstopped()
        process.hide_secrets()
        states = model_states(endpoint)
        if states is not None:
            process.hide_secrets(answers=True)
            if reasons := _failures(process, states, expected_models):
                raise ModelsNotReadyError(reasons)
            # Triton starts its services one after the other, metrics last.
            if is_ready(endpoint) and all(is_listening(*address) for address in others):
                return
        time.sleep(_POLL_S)
    raise StartTimeoutError(timeout_s, process.log_tail())


def ready_models(endpoint: HttpEndpoint) -> tuple[str, ...]:
    """Names of the models that answer requests, sorted."""
    return tuple(sorted({state.name for state in model_states(endpoint) or () if state.state == _READY}))


def is_ready(endpoint: HttpEndpoint) -> bool:
    """Whether the server and its models say that they are ready; False while nothing listens."""
    return endpoint.ask("GET", "/v2/health/ready").is_ok


def model_states(endpoint: HttpEndpoint) -> list[ModelState] | None:
    """Triton's repository index; None while nothing listens."""
    answer = endpoint.ask("POST", "/v2/repository/index")
    if not answer.is_ok:
        return None
    return [
        ModelState(model["name"], model.get("state", ""), model.get("reason", "")) for model in answer.json()
    ]


def _failures(
    process: ServerProcess, states: list[ModelState], expected_models: Collection[str]
) -> dict[str, str]:
    failed = {state.name: _advised(state.reason) for state in states if state.has_failed}
    # Triton calls itself ready with models whose config it could not read: it only mentions them in its log.
    alive = {state.name for state in states if state.state in (_READY, _LOADING)}
    for model in set(expected_models) - alive - failed.keys():
        told = process.log.refusal_of(model)
        failed[model] = _advised(told) if told else "Triton did not load it and does not say why"
    return failed


def _advised(reason: str) -> str:
    """Triton's words, with what to do where they do not say it."""
    return reason + next((advice for words, advice in _WORDS_TO_ADVICE.items() if words in reason), "")
