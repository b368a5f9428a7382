"""What the tokenizer hands on, with a network in memory: never much more than it gets done within a moment.

`flow_control.py` and `metrics.py` are copied into repositories, where Triton loads them by path.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.export.repository.conftest import until

import bertriton_export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(bertriton_export.__file__).parent / "repository" / "triton"
METRICS = """# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="imdb_bert",version="1"} 7
nv_inference_pending_request_count{model="imdb_bert2",version="1"} 100
nv_inference_pending_request_count{model="imdb_bert",version="2"} 4
nv_inference_request_success{model="imdb_bert",version="1"} 20
nv_inference_request_success{model="imdb_bert2",version="1"} 1
nv_inference_request_failure{model="imdb_bert",reason="OTHER",version="1"} 3
nv_inference_request_failure{model="imdb_bert",reason="CANCELED",version="1"} 5
nv_inference_request_duration_us{model="imdb_bert",version="1"} 9999
"""


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("metrics")
    for name in ("flow_control", "metrics"):
        sys.modules.pop(name, None)


@pytest.fixture
def flow_control(metrics: Any) -> Any:
    assert metrics  # which it imports
    return importlib.import_module("flow_control")


@pytest.fixture
def controlled(flow_control: Any) -> Iterator[Callable[..., Any]]:
    """Makes a flow to a network that says how many requests wait, or that and how many are done."""
    flows = []

    def make(count: Callable[[], int | tuple[int, int] | None], **options: Any) -> Any:
        def look() -> Any:
            counts = count()
            counts = (counts, 0) if isinstance(counts, int) else counts
            return counts and flow_control.Seen(*counts)

        flows.append(flow_control.FlowControl(look, **options))
        return flows[-1]

    yield make
    for flow in flows:
        flow.stop()
        flow.thread.join()


def test_nothing_is_asked_while_little_was_handed_on(controlled: Any) -> None:
    asked: list[int] = []
    flow = controlled(lambda: asked.append(1) or 0)

    until(lambda: flow.finished.is_known)
    for _ in range(20):
        flow.hand_on(50)
    time.sleep(0.2)

    assert len(asked) == 1  # at the start, by which later counts are read
    assert flow.room() > 0


def test_what_still_waits_takes_room_until_it_is_done(controlled: Any, flow_control: Any) -> None:
    waiting = [10]
    flow = controlled(lambda: waiting[0])

    for _ in range(10):
        flow.hand_on(flow_control.MIN_WINDOW_TOKENS)
    until(lambda: flow.looked_s > 0 and flow.room() <= 0)
    waiting[0] = 0
    until(lambda: flow.room() > 0)

    assert flow.tokens == 0


def test_requests_handed_on_while_it_looks_are_not_taken_for_done(controlled: Any, flow_control: Any) -> None:
    looks, goes_on = threading.Event(), threading.Event()

    def count_pending() -> int:
        looks.set()
        goes_on.wait(60)
        return 0

    goes_on.set()
    flow = controlled(count_pending)
    until(lambda: flow.finished.is_known)
    goes_on.clear()
    looks.clear()
    flow.hand_on(flow_control.MIN_WINDOW_TOKENS)
    assert looks.wait(60)
    flow.hand_on(100)
    goes_on.set()

    until(lambda: flow.tokens == 100 + flow_control.REQUEST_TOKENS)


def test_a_look_that_took_long_is_soon_followed_by_another(controlled: Any, flow_control: Any) -> None:
    looks: list[float] = []

    def count_pending() -> int:
        looks.append(time.monotonic())
        time.sleep(1)  # a twentieth of 20 s, for which nothing would be handed on
        return 10

    flow = controlled(count_pending)
    for _ in range(10):
        flow.hand_on(flow_control.MIN_WINDOW_TOKENS)
    until(lambda: len(looks) >= 3)

    assert looks[2] - looks[0] < 15


def test_a_fast_network_may_have_more_before_it(controlled: Any, flow_control: Any) -> None:
    flow = controlled(lambda: 0)

    until(lambda: flow.hand_on(5000) or flow.window > 10 * flow_control.MIN_WINDOW_TOKENS)


def test_where_nothing_is_known_nothing_is_kept_back(controlled: Any, flow_control: Any) -> None:
    flow = controlled(lambda: None)

    flow.hand_on(flow_control.MIN_WINDOW_TOKENS)
    until(lambda: not flow.is_known)
    for _ in range(100):
        flow.hand_on(flow_control.MIN_WINDOW_TOKENS)

    assert flow.room() > 0


def test_a_batch_that_leaves_the_queue_whole_is_no_speed(controlled: Any, flow_control: Any) -> None:
    flow = controlled(lambda: 0)
    flow.stop()
    flow.thread.join()

    for _ in range(20):  # a batch of 8,000 tokens a second, seen in one of twenty looks
        for look in range(20):
            if look == 10:
                flow.hand_on(8000)
            flow.looked_s = time.monotonic() - flow_control.LOOK_INTERVAL_S
            flow.note(flow_control.Seen(0, 0), flow.handed_on)

    assert flow.window == flow_control.MIN_WINDOW_TOKENS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tritonserver --model-repository=/m", ("127.0.0.1", 8002)),
        ("tritonserver --metrics-port=9002 --http-port=9000", ("127.0.0.1", 9002)),
        ("tritonserver --metrics-port 9002 --metrics-address 10.0.0.7", ("10.0.0.7", 9002)),
        ("tritonserver --http-address=10.0.0.7 --metrics-port=9", ("10.0.0.7", 9)),
        ("tritonserver --metrics-address=0.0.0.0 --http-address=10.0.0.7", ("127.0.0.1", 8002)),
        ("tritonserver --allow-metrics=true", ("127.0.0.1", 8002)),
        ("tritonserver --allow-metrics=false --metrics-port=9002", None),
        ("tritonserver --allow-metrics 0", None),
    ],
)
def test_metrics_are_where_the_command_line_says(
    metrics: Any, words: str, expected: tuple[str, int] | None
) -> None:
    assert metrics.metrics_address(words.split()) == expected


class Metrics(BaseHTTPRequestHandler):
    """A page of Triton's metrics."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(METRICS.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def metrics_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("model", "expected"), [("imdb_bert", (11, 28)), ("imdb_bert2", (100, 1)), ("imdb", None)]
)
def test_requests_are_counted_over_versions_of_the_very_model(
    metrics: Any, metrics_port: int, model: str, expected: tuple[int, int] | None
) -> None:
    look = metrics.Metrics(model)
    look.address = ("127.0.0.1", metrics_port)

    assert look() == expected


def test_what_does_not_answer_is_not_known(metrics: Any) -> None:
    look = metrics.Metrics("imdb_bert")

    for address in (("127.0.0.1", 1), None):
        look.address = address
        assert look() is None


LARGE = 8000  # tokens


def test_a_large_request_waits_until_the_one_before_is_done(controlled: Any) -> None:
    counts = [(0, 7)]  # seven were done before
    flow = controlled(lambda: counts[0], runs_whole=True)
    until(lambda: flow.finished.is_known)

    flow.hand_on(LARGE)
    until(lambda: flow.tokens == 0)  # it runs
    assert not flow.has_room_for(LARGE, flow.room())
    assert flow.has_room_for(50, flow.room())
    counts[0] = (0, 8)

    until(lambda: flow.has_room_for(LARGE, flow.room()))


def test_behind_a_large_request_there_is_room_for_small_ones(controlled: Any) -> None:
    flow = controlled(lambda: (1, 0), runs_whole=True)
    until(lambda: flow.finished.is_known)

    flow.hand_on(LARGE)

    assert flow.has_room_for(50, flow.room())
    assert not flow.has_room_for(LARGE, flow.room())


def test_a_large_request_lets_small_ones_be_done_but_does_not_wait_for_ever(
    controlled: Any, flow_control: Any
) -> None:
    counts = [(0, 0)]
    flow = controlled(lambda: counts[0], runs_whole=True)
    until(lambda: flow.finished.is_known)
    flow.hand_on(LARGE)
    flow.hand_on(50)

    counts[0] = (1, 1)
    until(lambda: flow.large_done_s > 0)
    is_kept_back = not flow.has_room_for(LARGE, flow.room())
    was_in_time = time.monotonic() < flow.large_done_s + flow_control.PATIENCE_S

    assert is_kept_back or not was_in_time
    until(lambda: flow.has_room_for(LARGE, flow.room()))


def test_where_requests_are_cut_a_large_one_waits_for_no_other(controlled: Any) -> None:
    flow = controlled(lambda: 0)

    flow.hand_on(LARGE)
    until(lambda: flow.tokens == 0)

    assert flow.has_room_for(LARGE, flow.room())


def test_a_request_that_the_network_lost_is_not_waited_for(
    controlled: Any, metrics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "IDLE_S", 0.5)
    flow = controlled(lambda: (0, 0), runs_whole=True)
    until(lambda: flow.finished.is_known)

    flow.hand_on(LARGE)
    assert not flow.has_room_for(LARGE, flow.room())

    until(lambda: flow.has_room_for(LARGE, flow.room()))  # after IDLE_S


def test_a_network_that_counts_anew_does_not_confuse_it(metrics: Any) -> None:
    finished = metrics.Finished()
    for total, handed_on, expected in ((100, 0, 0), (103, 3, 3), (0, 5, 3), (2, 5, 5)):
        finished.note(metrics.Seen(1, total), handed_on, 0.0)
        assert finished.ours == expected
