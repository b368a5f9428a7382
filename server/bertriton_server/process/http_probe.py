"""Whether a tritonserver answers: a real, tiny inference with a deadline on every classifier.

What Triton says of itself is not asked: 2.51 calls a model ready whose process is dead. Nothing but the
standard library and nothing of this package: the images copy this file beside their health check.
"""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

REQUEST_TIMEOUT_S: Final = 5.0
PROBE_TEXT: Final = "ok"  # what the tiny inference classifies
TEXT_INPUT: Final = "text"  # of every classifier

_OK: Final = 200
_BAD_REQUEST: Final = 400
_READY: Final = "READY"
_PROBES_AT_ONCE: Final = 16
_US_PER_S: Final = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What came of one HTTP request."""

    status: int  # 0: nothing came
    body: bytes
    reason: str  # why nothing came, or Triton's words for a refusal; empty for a success

    @property
    def is_ok(self) -> bool:
        """Whether it was granted."""
        return self.status == _OK

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The content of a success."""
        return json.loads(self.body)


@dataclass(frozen=True)
class HttpEndpoint:
    """Where a server answers HTTP requests, or soon will."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)  # keys that it asks for

    def ask(
        self, method: str, path: str, body: bytes | None = None, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Answer:
        """Send a request and wait for the answer, whatever it is."""
        # http.client rather than urllib: a proxy set in the environment must not come between.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=max(timeout_s, 0.001))
        try:
            connection.request(method, path, body, dict(self.headers))
            response = connection.getresponse()
            content = response.read()
        except TimeoutError:
            return Answer(0, b"", f"no answer within {timeout_s:.1f} s")
        except (OSError, http.client.HTTPException) as exc:
            return Answer(0, b"", str(exc) or type(exc).__name__)
        finally:
            connection.close()
        return Answer(response.status, content, "" if response.status == _OK else _told(response, content))


def loaded_models(endpoint: HttpEndpoint, timeout_s: float = REQUEST_TIMEOUT_S) -> list[str]:
    """Names of the models that were to be loaded, sorted; also of those that failed.

    Raises:
        OSError: the server does not say.
    """
    answer = endpoint.ask("POST", "/v2/repository/index", timeout_s=timeout_s)
    if not answer.is_ok:
        raise OSError(answer.reason)
    # One that was never asked for, under --model-control-mode=explicit, has no state.
    return sorted({entry["name"] for entry in answer.json() if entry.get("state")})


def is_classifier(endpoint: HttpEndpoint, model: str, timeout_s: float = REQUEST_TIMEOUT_S) -> bool:
    """Whether a model looks like a classifier: an ensemble whose one input is its text."""
    answer = endpoint.ask("GET", f"/v2/models/{model}", timeout_s=timeout_s)
    if not answer.is_ok:
        return False
    metadata = answer.json()
    inputs = [(entry["name"], entry["datatype"]) for entry in metadata.get("inputs", [])]
    return metadata.get("platform") == "ensemble" and inputs == [(TEXT_INPUT, "BYTES")]


def answered_count(endpoint: HttpEndpoint, model: str, timeout_s: float = REQUEST_TIMEOUT_S) -> int:
    """How many requests a model has answered since it was loaded; -1 when the server does not say."""
    answer = endpoint.ask("GET", f"/v2/models/{model}/stats", timeout_s=timeout_s)
    if not answer.is_ok:
        return -1
    versions = answer.json().get("model_stats", [])
    return sum(int(version["inference_stats"]["success"]["count"]) for version in versions)


def problem_of_classifier(endpoint: HttpEndpoint, model: str, deadline_s: float) -> str:
    """Why a classifier answers nobody; empty when it does.

    It is alive when it classifies a tiny text within the deadline, and also when the deadline passes, or its
    queue is full, while others get answers: a busy server is no broken one.
    """
    until = time.monotonic() + deadline_s
    before = answered_count(endpoint, model, deadline_s)
    answer = endpoint.ask("POST", f"/v2/models/{model}/infer", _tiny_request(deadline_s), _left(until))
    # A refusal of the text itself comes from the tokenizer's process, which lives then.
    if answer.is_ok or answer.status == _BAD_REQUEST:
        return ""
    time.sleep(max(0.0, until - time.monotonic()))
    return "" if answered_count(endpoint, model, deadline_s) > before >= 0 else answer.reason


def problem_of_model(endpoint: HttpEndpoint, model: str, deadline_s: float) -> str:
    """Why a model does not answer; empty when it does. What is no classifier is asked whether it is ready."""
    if is_classifier(endpoint, model, deadline_s):
        return problem_of_classifier(endpoint, model, deadline_s)
    answer = endpoint.ask("GET", f"/v2/models/{model}/ready", timeout_s=deadline_s)
    return "" if answer.is_ok else answer.reason


def problems_of(
    endpoint: HttpEndpoint,
    models: Collection[str],
    deadline_s: float,
    problem_of: Callable[[HttpEndpoint, str, float], str] = problem_of_model,
) -> dict[str, str]:
    """What is wrong with those that do not answer, by name; all are asked at the same time."""
    with ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
        problems = pool.map(lambda model: problem_of(endpoint, model, deadline_s), models)
        return {model: problem for model, problem in zip(models, problems, strict=True) if problem}


def _tiny_request(deadline_s: float) -> bytes:
    text = {"name": TEXT_INPUT, "shape": [1, 1], "datatype": "BYTES", "data": [PROBE_TEXT]}
    # Triton drops it from its queue when nobody waits for it any more.
    parameters = {"timeout": int(deadline_s * _US_PER_S)}
    return json.dumps({"inputs": [text], "parameters": parameters}).encode()


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _told(response: http.client.HTTPResponse, content: bytes) -> str:
    try:
        words = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        words = response.reason
    return f"{response.status}: {words}"
