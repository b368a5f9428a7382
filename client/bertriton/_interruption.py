"""Ctrl-C and SIGTERM: what they end, and what they do while modules are imported."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends a command as Ctrl-C does."""


def on_sigterm(_: int, __: FrameType | None) -> NoReturn:
    """Handle SIGTERM."""
    raise Terminated


def exit_code_of(interruption: BaseException | None) -> int:
    """128 and the number of the signal, as shells have it."""
    return 128 + (signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Let either end the process without a word while modules are imported: C extensions fail otherwise.

    Where somebody else handles or ignores it, or in another thread than the main one, nothing changes.
    """
    handlers = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, on_sigterm))
    is_main = threading.current_thread() is threading.main_thread()
    ours = [(number, ours) for number, ours in handlers if is_main and signal.getsignal(number) is ours]
    for number, _ in ours:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in ours:
            signal.signal(number, handler)
