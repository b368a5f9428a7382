"""In which order requests wait in the tokenizer, with Triton's and the network's parts in memory.

`waiting.py` and what it imports are copied into repositories, where Triton loads them by path.
"""

from __future__ import annotations

import importlib
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import bertriton_export

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(bertriton_export.__file__).parent / "repository" / "triton"
COPIED = ("waiting", "answers", "flow_control", "metrics", "request", "sending")
SPEED = 10_000.0  # tokens per second
SHORT_BYTES, LIST_BYTES = 40, 32_000  # of which the second is 0.8 s of work


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A room whose network is full until it is said to have room."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", SimpleNamespace())
    monkeypatch.syspath_prepend(FOLDER)
    for name in COPIED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    flow = SimpleNamespace(
        changed=threading.Condition(), speed=SPEED, room=lambda: 0, has_room_for=lambda _, room: room > 0
    )
    made = importlib.import_module("waiting").WaitingRoom(answer=list, flow=flow, window=None)
    yield made
    made.waiting.clear()
    made.stop()
    made.thread.join()
    for name in COPIED:
        sys.modules.pop(name, None)


def waiting(room: Any, size_bytes: int, taken_s: float) -> Any:
    one = SimpleNamespace(
        size_bytes=size_bytes, about_tokens=size_bytes // 4, taken_s=taken_s, is_late=False, is_given_up=False
    )
    one.due_s = partial(sys.modules["request"].Waiting.due_s, one)
    with room.changed:
        room.waiting.append(one)
        room.bytes += size_bytes
    return one


def next_batch(room: Any) -> list[Any]:
    with room.changed:
        room.flow.room = lambda: 10 * LIST_BYTES
        batch: list[Any] = room.next_batch()
        room.flow.room = lambda: 0
    return batch


def test_a_short_text_passes_lists_that_came_before_it(room: Any) -> None:
    lists = [waiting(room, LIST_BYTES, taken_s) for taken_s in (1.0, 1.1)]
    short = waiting(room, SHORT_BYTES, 2.0)

    assert next_batch(room) == [short, *lists]


def test_a_list_has_its_turn_before_what_came_much_later(room: Any) -> None:
    later = [waiting(room, SHORT_BYTES, taken_s) for taken_s in (5.9, 6.2)]
    one = waiting(room, LIST_BYTES, 1.0)

    assert next_batch(room) == [later[0], one, later[1]]


def test_equal_requests_keep_their_order(room: Any) -> None:
    came = [waiting(room, SHORT_BYTES, taken_s) for taken_s in (1.0, 1.0, 1.1)]

    assert next_batch(room) == came


def test_before_the_network_is_known_requests_keep_their_order(room: Any) -> None:
    room.flow.speed = 0.0
    came = [waiting(room, LIST_BYTES, 1.0), waiting(room, SHORT_BYTES, 1.1)]

    assert next_batch(room) == came


def test_what_is_late_is_refused_while_a_batch_before_it_takes_long(room: Any) -> None:
    refused: list[str] = []
    for name in ("late", "in time"):
        one = waiting(room, LIST_BYTES, 1.0)
        one.refuse_late = partial(refused.append, name)
    before = SimpleNamespace(is_given_up=False)

    with room.changed:
        room.waiting[0].is_late = True
    room.look_around([before])

    assert refused == ["late"]
    assert (len(room.waiting), room.bytes) == (1, LIST_BYTES)


def test_a_batch_is_given_up_where_nobody_waits_for_any_of_it(room: Any) -> None:
    wanted, unwanted = (SimpleNamespace(is_given_up=is_given_up) for is_given_up in (False, True))

    room.look_around([wanted, unwanted])
    with pytest.raises(TimeoutError, match="given up"):
        room.look_around([unwanted, unwanted])


class Panic(BaseException):
    """What the library of tokenizers raises where its own code gives up."""


def test_a_panic_is_the_answer_to_its_batch_and_ends_no_thread(room: Any) -> None:
    refused: list[tuple[str, str]] = []

    def panic(*_: Any) -> list[Any]:
        raise Panic("gave up")

    room.answer = panic
    one = SimpleNamespace(is_cancelled=lambda: False, refuse=lambda *words: refused.append(words))
    room.answer_batch([one])

    assert refused == [("gave up", "INTERNAL")]
