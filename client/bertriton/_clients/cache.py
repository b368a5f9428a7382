"""Answers kept for texts that come again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from bertriton._types import Classification


class AnswerCache:
    """The answers used last, at most `max_entries` of them and none older than `max_age_s`.

    A call keeps answers under their fingerprint and looks under that of the last answer that its client got
    from the server. So nothing of an old model comes back once one answer of the new model has; until then,
    and nothing but a request that is sent can tell, a kept answer is of the model that answered last.
    Where two models answer in turn, as in a roll-out or an A/B trial, a kept answer is of either.

    Safe to share between threads. `max_entries` 0 keeps nothing.
    """

    def __init__(self, max_entries: int, max_age_s: float) -> None:
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._entries: OrderedDict[Hashable, tuple[float, Classification]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def enabled(self) -> bool:
        """Whether the cache keeps anything."""
        return self._max_entries > 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Classification | None:
        """The answer under the key, None if there is none or it is too old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            kept_since, answer = entry
            if time.monotonic() - kept_since > self._max_age_s:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return answer

    def put(self, key: Hashable, answer: Classification) -> None:
        """Keep an answer; the one unused for longest makes room."""
        with self._lock:
            self._entries[key] = (time.monotonic(), answer)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
