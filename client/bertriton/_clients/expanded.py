"""Texts that are several rows each, for a call that counts in rows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from bertriton._clients.sources import NOTHING
from bertriton._wire import END

if TYPE_CHECKING:
    from bertriton._clients.sources import Source
    from bertriton._clients.tasks import Task


class ExpandedSource:
    """The rows of a source's texts; what is said of rows is said of texts to the source."""

    def __init__(self, source: Source, task: Task) -> None:
        self._source: Any = source  # a reader, where the call waits for it
        self._task = task
        self._rows: deque[object] = deque()  # of the text taken last
        self._released_rows = 0  # of a text that is not released

    def bound(self, max_items: int, max_bytes: int) -> None:
        """Say how many rows may be read and not answered."""
        self._source.bound(self._texts(max_items), max_bytes)

    @property
    def is_full(self) -> bool:
        """Whether no further row comes before some are released."""
        return not self._rows and bool(self._source.is_full)

    def take(self) -> object:
        """The next row, `END`, or `NOTHING`."""
        if not self._rows:
            text = self._source.take()
            if text is END or text is NOTHING:
                return text
            self._rows.extend(self._task.rows(text))
        return self._rows.popleft()

    def release(self, count: int) -> None:
        """So many rows are answered."""
        texts, self._released_rows = divmod(self._released_rows + count, self._task.rows_per_text)
        if texts:
            self._source.release(texts)

    def close(self) -> None:
        """Read no further."""
        self._source.close()

    def must_wait(self, wanted: int, handle: Any) -> bool:  # noqa: ANN401  # of a request, or None
        """See `ReadAhead.must_wait`."""
        return bool(self._source.must_wait(self._texts(wanted), handle))

    @property
    def signal(self) -> Any:  # noqa: ANN401  # of a thread or an event loop
        """What the source's reader gives."""
        return self._source.signal

    def _texts(self, rows: int) -> int:
        """How many texts have so many rows, at least one."""
        return max(1, rows // self._task.rows_per_text)
