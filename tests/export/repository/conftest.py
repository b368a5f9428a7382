"""How tests of the tokenizer's threads wait for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60.0


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    given_up = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < given_up
        time.sleep(0.005)
