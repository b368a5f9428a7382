"""When the texts read so far become a request: when it is full, or when the input pauses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bertriton._clients.sources import NOTHING
from bertriton._config import STREAM_PAUSE_S
from bertriton._wire import END

if TYPE_CHECKING:
    from bertriton._clients.batches import Batch, BatchBuilder
    from bertriton._clients.sources import Source


class Intake:
    """The batches of one call, as its input allows."""

    def __init__(self, source: Source, builder: BatchBuilder) -> None:
        self._source = source
        self._builder = builder
        self._first_s = 0.0  # when the first text of the open batch was taken
        self._last_s = 0.0  # when its last one was
        self.has_ended = False
        self.error: Exception | None = None  # that ended the input early

    def batch(self, *, idle: bool) -> Batch | None:
        """The next batch, None if it is better to wait for more texts.

        An error of the input, or an invalid text, ends it: what came before is answered first.

        Args:
            idle: whether no request is under way.
        """
        if self.has_ended:
            return None
        was_empty, count = self._builder.is_empty, 0
        try:
            while (text := self._source.take()) is not NOTHING:
                if text is END:
                    return self._last_batch()
                closed = self._builder.add(text)
                if closed is not None:
                    self._first_s = self._last_s = time.monotonic()
                    return closed
                count += 1
        except Exception as error:  # noqa: BLE001  # what the caller's iterator raises, in its place
            self.error = error
            return self._last_batch()
        if count:
            self._last_s = time.monotonic()
            self._first_s = self._last_s if was_empty else self._first_s
        return self._builder.close() if self.wait_s(idle=idle) == 0 else None

    @property
    def wanted(self) -> int:
        """Texts that are worth being woken for: the first, and what completes a request."""
        return 1 if self._builder.is_empty else self._builder.free_rows

    def wait_s(self, *, idle: bool) -> float | None:
        """Seconds to wait for another text before the open batch is sent; None: it is empty.

        While a request is under way the next may gather as long as the input goes on. Where none is, the
        first text waits no longer than a pause: the server has nothing else to do.
        """
        if self._builder.is_empty:
            return None
        if self._source.is_full:
            return 0.0
        since_s = self._first_s if idle else self._last_s
        return max(0.0, since_s + STREAM_PAUSE_S - time.monotonic())

    def _last_batch(self) -> Batch:
        self.has_ended = True
        return self._builder.close()
