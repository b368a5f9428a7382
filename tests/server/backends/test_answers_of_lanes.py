"""Which answers a call of the lanes returns, which are sent, and on whose thread its requests run.

`lanes.py` is loaded as Triton does it, by its folder, with what Triton gives it in memory.
"""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bertriton_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(bertriton_server.__file__).parent / "backends" / "onnxruntime"
MODULES = ("lanes", "parts", "work")
MICRO_BATCH = 8
ALL_THREADS = 3
CALL_SIZE = 4  # requests
DEADLINE_S = 120


class Request:
    """One of Triton's, of so many rows of one element; what is sent for it is kept."""

    def __init__(self, rows: int = 1) -> None:
        self.rows = rows
        self.first = 0  # number that it holds; a multiple of 100
        self.sent: list[Any] = []
        self.is_sent = threading.Event()

    def requested_output_names(self) -> set[str]:
        return {"y"}

    def timeout(self) -> int:
        return 0

    def get_response_sender(self) -> Request:
        return self

    def is_cancelled(self) -> bool:
        return False

    def send(self, response: Any, flags: int) -> None:
        del flags
        self.sent.append(response)
        self.is_sent.set()


class Error:
    """What Triton answers with where it refuses."""

    INTERNAL = 1
    INVALID_ARG = 3

    def __init__(self, message: str, code: int) -> None:
        self.message = message
        self.code = code


def response(tensors: Any = (), error: Any = None) -> Any:
    return SimpleNamespace(tensors=dict(tensors), error=error)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    backend = SimpleNamespace(
        InferenceResponse=response,
        Tensor=lambda name, array: (name, array.tolist()),
        TritonError=Error,
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=1,
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("lanes")
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def make_lanes(modules: Any) -> Iterator[Callable[..., Any]]:
    made = []

    def make(before: Callable[[list[int]], object] = list) -> Any:
        """Two lanes whose network gives back its input, after it was told what each request begins with."""
        threads: list[threading.Thread] = []
        alone: list[int] = []

        def run(names: list[str], inputs: list[Any], _: list[int]) -> list[Any]:
            before([int(named["x"][0, 0]) // 100 * 100 for named in inputs])
            threads.append(threading.current_thread())
            return [dict.fromkeys(names, named["x"]) for named in inputs]

        def run_alone(names: list[str], inputs: list[Any], rows: list[int]) -> list[Any]:
            alone.append(sum(rows))
            return run(names, inputs, rows)

        lanes = modules.Lanes(
            lambda request: {"x": np.arange(request.first, request.first + request.rows)[:, None]},
            run,
            run_alone,
            outputs=["y"],
            parts=sys.modules["parts"].RowParts({}),
            refusals=SimpleNamespace(emptiness=lambda _: None, reason=lambda *_: None),
            elements=MICRO_BATCH,
            all_threads_elements=ALL_THREADS,
            count=2,
            call_size=CALL_SIZE,
        )
        lanes.ran_on, lanes.ran_alone = threads, alone
        made.append(lanes)
        return lanes

    yield make
    for lanes in made:
        lanes.stop()


def warm_up(lanes: Any) -> list[Request]:
    """As many requests as a call may bring, which make Triton's list grow."""
    requests = [Request() for _ in range(CALL_SIZE)]
    lanes.take(requests)
    return requests


def test_answers_are_sent_until_tritons_list_has_room_for_as_many(make_lanes: Callable[..., Any]) -> None:
    lanes = make_lanes()
    first = Request()

    assert lanes.take([first]) == [None]
    assert len(first.sent) == 1
    warm_up(lanes)
    assert lanes.take([Request()])[0].tensors == {"y": [[0]]}


def test_a_short_call_returns_its_answers(make_lanes: Callable[..., Any]) -> None:
    lanes = make_lanes()
    warm_up(lanes)
    requests = [Request(rows) for rows in (1, 2, 3)]

    answers = lanes.take(requests)

    assert [answer.tensors["y"] for answer in answers] == [[[0]], [[0], [1]], [[0], [1], [2]]]
    assert not any(request.sent for request in requests)


def test_what_comes_alone_runs_on_the_thread_of_the_call(make_lanes: Callable[..., Any]) -> None:
    lanes = make_lanes()
    warm_up(lanes)
    lanes.ran_on.clear()

    lanes.take([Request()])

    assert lanes.ran_on == [threading.current_thread()]


def test_a_row_alone_gets_all_threads_where_requests_come_one_by_one(make_lanes: Callable[..., Any]) -> None:
    lanes = make_lanes()

    for _ in range(3):
        lanes.take([Request()])

    assert lanes.ran_alone == [1, 1, 1]


def test_a_small_row_alone_gets_one_thread_while_requests_come_several_at_a_time(
    make_lanes: Callable[..., Any], modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = make_lanes()
    monkeypatch.setattr(lanes, "can_share", lambda: False)  # as of one row, however large
    lanes.take([Request() for _ in range(ALL_THREADS - 1)])

    lanes.take([Request(ALL_THREADS - 1)])
    assert lanes.ran_alone == []
    lanes.take([Request(ALL_THREADS)])
    assert sum(lanes.ran_alone) == ALL_THREADS

    lanes.ran_alone.clear()
    for _ in range(modules.RECENT_CALLS - 3):  # two calls of one request were made above
        lanes.take([Request()])
    assert lanes.ran_alone == []
    lanes.take([Request()])
    assert lanes.ran_alone == [1]


def test_of_a_long_call_only_its_end_is_returned(make_lanes: Callable[..., Any]) -> None:
    short, long = Request(MICRO_BATCH), Request(3 * MICRO_BATCH)
    long.first = 100

    def wait_for_the_short_one(firsts: list[int]) -> None:
        assert firsts != [100] or short.is_sent.wait(DEADLINE_S)

    lanes = make_lanes(wait_for_the_short_one)
    warm_up(lanes)
    assert lanes.take([short, long])[0] is None
    assert len(short.sent) == 1
    assert not long.sent


def test_the_answer_to_a_large_request_is_sent(make_lanes: Callable[..., Any]) -> None:
    lanes = make_lanes()
    warm_up(lanes)
    large = Request(20 * MICRO_BATCH)

    assert lanes.take([large]) == [None]
    assert large.is_sent.wait(DEADLINE_S)
    assert len(large.sent[0].tensors["y"]) == 20 * MICRO_BATCH


def test_a_refused_request_is_answered_beside_others(
    make_lanes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = make_lanes()
    warm_up(lanes)
    monkeypatch.setattr(lanes.refusals, "emptiness", lambda named: "none" if len(named["x"]) == 2 else None)

    good, bad = lanes.take([Request(1), Request(2)])

    assert good.tensors == {"y": [[0]]}
    assert (bad.error.message, bad.error.code) == ("onnxruntime: none", Error.INVALID_ARG)
