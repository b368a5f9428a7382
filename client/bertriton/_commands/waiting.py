"""Saying on a terminal's standard error that something is under way, once it takes longer than a moment."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_AFTER_S: Final = 2.0


class Patience:
    """A line with a spinner that appears when the block has lasted SHOWN_AFTER_S; elsewhere nothing.

    Args:
        words: what is under way.
        console: where it is shown.
    """

    def __init__(self, words: str, console: Console) -> None:
        self._status = console.status(escape(words))
        self._lock = threading.Lock()
        self._has_ended = not console.is_terminal
        self.is_shown = False
        self._timer = threading.Timer(SHOWN_AFTER_S, self._show)
        self._timer.daemon = True
        if not self._has_ended:
            self._timer.start()

    def say(self, words: str) -> None:
        """Put other words in place of the last."""
        if not self._has_ended:
            self._status.update(escape(words))

    def end(self) -> None:
        """Make room for what else is to be written; a second time does nothing."""
        with self._lock:
            if not self._has_ended:
                self._has_ended = True
                self._timer.cancel()
                self._status.stop()

    def _show(self) -> None:
        with self._lock:
            if not self._has_ended:
                self._status.start()
                self.is_shown = True


@contextmanager
def patience(words: str) -> Iterator[Patience]:
    """Ask for patience while the block lasts.

    Example:
        >>> with patience("asking localhost:8001") as wait:
        ...     wait.say("asking localhost:8001, 3 of 9")
    """
    shown = Patience(words, Console(stderr=True))
    try:
        yield shown
    finally:
        shown.end()
