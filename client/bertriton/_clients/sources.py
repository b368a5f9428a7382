"""Where the texts of a call come from: read where they are asked for, or ahead of that by a reader.

A call must see that its input pauses, and cannot while it waits for the next text itself. So what may wait is
read by a thread, or an asynchronous iterable by a task, within the bound of what requests under way may hold.
What lies in memory never waits and is read directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections import deque
from collections.abc import KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from bertriton._config import READER_CLOSE_TIMEOUT_S
from bertriton._errors import InvalidTextError
from bertriton._wire import END

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

_POLL_S: Final = 0.001


class Unpaused:
    """An iterable whose items come at once, as those of a file: it needs no reader."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)


# What lies in memory. Other collections may fetch their items when these are asked for.
_AT_HAND: Final = (Unpaused, list, set, frozenset, dict, deque, KeysView, ValuesView)


class Nothing:
    """The type of `NOTHING`."""


NOTHING: Final = Nothing()  # no item has come, and the end has not either


class Source(Protocol):
    """Texts as a call takes them."""

    def bound(self, max_items: int, max_bytes: int) -> None:
        """Say how much may be read and not answered; before the first item is taken."""

    @property
    def is_full(self) -> bool:
        """Whether no further item comes before some are released."""

    def take(self) -> object:
        """The next item, `END`, or `NOTHING`; the error of the caller's iterator is raised in its place."""

    def release(self, count: int) -> None:
        """So many items are answered, and others may be read in their place."""

    def close(self) -> None:
        """Read no further."""


class DirectSource:
    """Items read where they are asked for."""

    is_full = False

    def __init__(self, items: Iterable[object]) -> None:
        self._items = iter(items)

    def bound(self, max_items: int, max_bytes: int) -> None:
        """Nothing is read ahead."""

    def take(self) -> object:
        return next(self._items, END)

    def release(self, count: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Nothing is under way."""


class ThreadSignal:
    """Wakes a thread that waits."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def give(self, *_: object) -> None:
        if not self._event.is_set():
            self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the signal, or until time is up."""
        self._event.wait(timeout_s)


class LoopSignal:
    """Wakes a task that waits; may be given by any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_given = False

    def give(self, *_: object) -> None:
        if self._is_given:
            return
        self._is_given = True
        # Where the loop is closed nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._is_given = False
        self._event.clear()

    async def wait(self, timeout_s: float | None) -> None:
        """Wait for the signal, or until time is up."""
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()


Signal: TypeAlias = ThreadSignal | LoopSignal


class ReadAhead:
    """Items that a reader has taken from the caller's iterator, within a bound; base of the readers.

    An item counts from when it is read until it is released, so that the bound holds for what is read and not
    answered yet.
    """

    def __init__(self, new_signal: Callable[[], Signal]) -> None:
        self._max_items = 1
        self._max_bytes = 1
        self._new_signal = new_signal  # called where the reader is waited for
        self._items: deque[object] = deque()
        self._sizes: deque[int] = deque()  # of all that is read and not released, in bytes
        # Counted apart, so that reader and call need no lock: each writes its own.
        self._read_count = self._released_count = 0
        self._read_bytes = self._released_bytes = 0
        self._wanted = 1  # items that the call waits for
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._watched: Any = None
        self.signal: Signal

    def bound(self, max_items: int, max_bytes: int) -> None:
        """Say how much may be read and not answered; before the first item is taken."""
        self._max_items = max_items
        self._max_bytes = max_bytes

    @property
    def is_full(self) -> bool:
        """Whether the bound is reached."""
        return (
            self._read_count - self._released_count >= self._max_items
            or self._read_bytes - self._released_bytes >= self._max_bytes
        )

    def must_wait(self, wanted: int, handle: Any) -> bool:  # noqa: ANN401  # of a request, or None
        """Whether neither so many items have come nor the request is done; `signal` is given as soon as is.

        Where the input ends, or may give no more, fewer do. The first call begins to read.
        """
        if not hasattr(self, "signal"):
            self.signal = self._new_signal()
            self._start()
        self._wanted = wanted
        self.signal.clear()
        if handle is not None and handle is not self._watched:
            self._watched = handle
            handle.add_done_callback(self.signal.give)
        return not (self._has_news() or (handle is not None and handle.done()))

    def take(self) -> object:
        """The next item, `END`, or `NOTHING`; the error of the caller's iterator is raised in its place."""
        if not self._items:
            # Looked at in this order, since the reader may end between the two.
            if not self._ended:
                return NOTHING
            if not self._items:
                if self._error is not None:
                    raise self._error
                return END
        return self._items.popleft()

    def _start(self) -> None:
        raise TypeError(f"{type(self).__name__} is abstract")

    def _put(self, item: object) -> None:
        size_bytes = _size_bytes(item)
        self._sizes.append(size_bytes)
        self._items.append(item)
        self._read_bytes += size_bytes
        self._read_count += 1
        if self._has_news():
            self.signal.give()

    def _has_news(self) -> bool:
        return len(self._items) >= self._wanted or self._ended or (self.is_full and bool(self._items))

    def _end(self, error: BaseException | None = None) -> None:
        self._error = error
        self._ended = True
        self.signal.give()

    def _release(self, count: int) -> None:
        self._released_bytes += sum(self._sizes.popleft() for _ in range(count))
        self._released_count += count


class ThreadReader(ReadAhead):
    """Items of an iterator that may block, read in a thread of its own.

    The thread has the caller's context variables. It ends with the iterator, or at the first item that comes
    after `close`, which is lost.
    """

    def __init__(self, items: Iterable[object], new_signal: Callable[[], Signal]) -> None:
        super().__init__(new_signal)
        self._iterator = iter(items)
        self._room = threading.Condition()
        self._thread: threading.Thread | None = None

    def release(self, count: int) -> None:
        """So many items are answered, and others may be read in their place."""
        self._release(count)
        with self._room:
            self._room.notify()

    def close(self) -> None:
        """Read no further."""
        with self._room:
            self._closed = True
            self._room.notify()

    def join(self) -> None:
        """After `close`, wait a moment for an item that is just being read."""
        # Whoever drops the last reference to a stream may do so in its reader.
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(READER_CLOSE_TIMEOUT_S)

    async def wait_closed(self) -> None:
        """The same without blocking."""
        give_up_s = time.monotonic() + READER_CLOSE_TIMEOUT_S
        # A thread's end gives no event.
        while self._thread is not None and self._thread.is_alive() and time.monotonic() < give_up_s:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    def _start(self) -> None:
        context = contextvars.copy_context()
        # A daemon: nothing can interrupt an iterator that blocks, and the program must be able to end.
        self._thread = threading.Thread(
            target=context.run, args=(self._read,), name="bertriton-reader", daemon=True
        )
        self._thread.start()

    def _read(self) -> None:
        try:
            while self._has_room():
                item = next(self._iterator, END)
                if item is END or self._closed:
                    break
                self._put(item)
        except BaseException as error:  # noqa: BLE001  # raised again where the caller waits for it
            self._end(error)
        else:
            self._end()

    def _has_room(self) -> bool:
        """Wait for room; False if there will be none."""
        if not self.is_full:
            return not self._closed
        with self._room:
            while self.is_full and not self._closed:
                self._room.wait()
            return not self._closed


class TaskReader(ReadAhead):
    """Items of an asynchronous iterator, read in a task of its own, which `close` cancels."""

    def __init__(self, items: AsyncIterable[object]) -> None:
        super().__init__(LoopSignal)
        self._iterator: AsyncIterator[object] = aiter(items)
        self._room: asyncio.Event
        self._task: asyncio.Task[None] | None = None

    def release(self, count: int) -> None:
        """So many items are answered, and others may be read in their place."""
        self._release(count)
        if self._task is not None:
            self._room.set()

    def close(self) -> None:
        """Cancel what is being read; `wait_closed` waits until that has ended."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the caller's iterator is left, so that it can be closed."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=READER_CLOSE_TIMEOUT_S)

    def _start(self) -> None:
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name="bertriton-reader")

    async def _read(self) -> None:
        try:
            while True:
                while self.is_full:
                    self._room.clear()
                    await self._room.wait()
                item = await anext(self._iterator, END)
                if item is END:
                    break
                self._put(item)
        except BaseException as error:  # noqa: BLE001  # raised again where the caller waits for it
            self._end(error)
        else:
            self._end()


def read_directly(texts: object) -> bool:
    """Whether items are in memory, or said to come at once, so that nothing waits for them.

    Raises:
        InvalidTextError: it is one text, or one pair, in place of many.
    """
    if isinstance(texts, (str, bytes, tuple)):
        raise InvalidTextError(f"text 0: expected an iterable of texts, found {type(texts).__name__}")
    return isinstance(texts, _AT_HAND)


def _size_bytes(item: object) -> int:
    parts = item if isinstance(item, tuple) else (item,)
    return sum(
        len(part) if part.isascii() else len(part.encode("utf-8", "surrogatepass"))
        for part in parts
        if isinstance(part, str)
    )
