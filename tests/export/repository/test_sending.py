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


def test_an_answer_between_calls_waits_for_the_next(window: Any) -> None:
    sent: list[Any] = []

    with window.opened():
        pass
    window.send(Sender(sent), "first")
    window.send(Sender(sent), "second")
    assert sent == []

    with window.opened():
        assert sent == ["first", "second"]


def test_an_answer_is_sent_without_a_call_where_none_comes(window: Any) -> None:
    sent: list[Any] = []
    window.send(Sender(sent), "answer")

    window.flush()

    assert sent == ["answer"]
    window.flush()  # nothing is left to wait for


def test_who_waits_for_a_call_goes_on_as_soon_as_it_comes(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(window).flush.__globals__, "PATIENCE_S", 60)
    sent: list[Any] = []
    window.send(Sender(sent), "answer")
    waiting = threading.Thread(target=window.flush)
    waiting.start()
    time.sleep(0.05)
    assert sent == []

    with window.opened():
        waiting.join(20)

    assert not waiting.is_alive()
    assert sent == ["answer"]


def test_a_client_that_is_gone_does_not_stop_others(window: Any, logged: list[str]) -> None:
    sent: list[Any] = []

    with window.opened():
        window.send(Sender(sent, is_gone=True), "lost")
        window.send(Sender(sent), "answer")

    assert sent == ["answer"]
    assert logged == ["could not answer a request: gone"]
