"""When the tokenizer sends answers: during a call of its model, or when none has come for a while.

`sending.py` is copied into repositories, where Triton loads it by path, and gives it its own module.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.export.repository.conftest import until

import bertriton_export

FILE = Path(bertriton_export.__file__).parent / "repository" / "triton" / "sending.py"
FINAL = 1


class Sender:
    """What Triton gives with a request; says what was sent, and fails where its client is gone."""

    def __init__(self, sent: list[Any], *, is_gone: bool = False) -> None:
        self.sent = sent
        self.is_gone = is_gone

    def send(self, response: Any, flags: int) -> None:
        if self.is_gone:
            raise RuntimeError("gone")
        assert flags == FINAL
        self.sent.append(response)


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> Any:
    backend = SimpleNamespace(
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=FINAL, Logger=SimpleNamespace(log_error=logged.append)
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    spec = importlib.util.spec_from_file_location("sending", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SendingWindow()


def test_an_answer_during_a_call_is_sent_at_once(window: Any) -> None:
    sent: list[Any] = []

    with window.opened():
        window.send(Sender(sent), "answer")
        assert sent == ["answer"]


def test_the_answer_to_the_only_request_of_a_call_is_returned(window: Any) -> None:
    sent: list[Any] = []
    only = Sender(sent)

    with window.opened(only) as returned:
        window.send(Sender(sent), "of an earlier call")
        window.send(only, "answer")

    assert sent == ["of an earlier call"]
    assert returned == ["answer"]


def test_an_answer_that_is_late_for_its_call_is_sent(window: Any) -> None:
    sent: list[Any] = []
    only = Sender(sent)

    with window.opened(only) as returned:
        pass
    window.send(only, "answer")
    with window.opened(Sender([])):
        assert sent == ["answer"]

    assert returned == []


def test_an_answer_between_calls_waits_for_the_next(window: Any) -> None:
    sent: list[Any] = []

    with window.opened():
        pass
    window.send(Sender(sent), "first")
    window.send(Sender(sent), "second")
    assert sent == []

    with window.opened():
        assert sent == ["first", "second"]


def warm_up(window: Any, answers: int) -> None:
    """Have Triton's list grow while a call lasts."""
    with window.opened():
        for _ in range(answers):
            window.send(Sender([]), "warm-up")
    with window.opened():  # which empties the list
        pass


def test_an_answer_is_sent_without_a_call_where_none_comes(window: Any) -> None:
    warm_up(window, 1)
    sent: list[Any] = []
    window.send(Sender(sent), "answer")

    window.flush()

    assert sent == ["answer"]
    window.flush()  # nothing is left to wait for


def flushing(window: Any) -> threading.Thread:
    """A thread that flushes, and has begun to."""
    thread = threading.Thread(target=window.flush)
    thread.start()
    time.sleep(0.2)
    return thread


def test_who_waits_for_a_call_goes_on_as_soon_as_it_comes(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(window).flush.__globals__, "PATIENCE_S", 60)
    warm_up(window, 1)
    sent: list[Any] = []
    window.send(Sender(sent), "answer")
    waiting = flushing(window)
    assert sent == []

    with window.opened():
        waiting.join(60)

    assert not waiting.is_alive()
    assert sent == ["answer"]


@pytest.mark.parametrize(("warmed_up", "room"), [(1, 1), (2, 2), (3, 4), (33, 64), (520, 1024)])
def test_no_more_is_sent_between_calls_than_the_list_has_room_for(
    window: Any, monkeypatch: pytest.MonkeyPatch, warmed_up: int, room: int
) -> None:
    monkeypatch.setitem(type(window).flush.__globals__, "GROWTH_PATIENCE_S", 60)
    warm_up(window, warmed_up)
    sent: list[Any] = []
    for number in range(room + 2):
        window.send(Sender(sent), number)

    waiting = flushing(window)
    until(lambda: len(sent) >= room)
    time.sleep(0.1)  # in which no more may come
    assert sent == list(range(room))

    with window.opened():
        waiting.join(60)
        assert sent == list(range(room + 2))


def test_the_list_grows_between_calls_where_none_comes_for_long(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(window).flush.__globals__, "GROWTH_PATIENCE_S", 0.1)
    sent: list[Any] = []
    window.send(Sender(sent), "answer")

    window.flush()

    assert sent == ["answer"]


def test_a_client_that_is_gone_does_not_stop_others(window: Any, logged: list[str]) -> None:
    sent: list[Any] = []

    with window.opened():
        window.send(Sender(sent, is_gone=True), "lost")
        window.send(Sender(sent), "answer")

    assert sent == ["answer"]
    assert logged == ["could not answer a request: gone"]
