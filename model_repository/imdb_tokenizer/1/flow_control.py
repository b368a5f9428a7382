"""How much the network has before it: what the tokenizer hands on is what it gets done within a moment.

Copied into the repository beside the tokenizer model, which imports it.

A limit of the network's own queue has Triton's core look for a free instance only when another request comes,
or every 500 ms. So that queue has none, and what would not run soon waits in the tokenizer, where it is still
seen that a deadline is over. How many requests wait for the network is told by Triton's metrics, and by what
was done meanwhile, how many it gets done within a moment.

A large request, one of more than that, runs whole in Triton's own backends, and what comes during its run is
merged with what waits. So the next large one is kept back until it is done: what came meanwhile runs first.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

from metrics import Finished, Seen  # type: ignore[import-not-found]

# Of work, counted in tokens. A machine of any speed may have so much before it, or its cores would not all be
# busy until their speed is known.
MIN_WINDOW_TOKENS = 4096
WINDOW_S = 0.25  # what waits in the network's queue is computed even if its deadline is over by then
REQUEST_TOKENS = 32  # a request takes as much time besides as about so many tokens
# Of the window, at most; the rest is for small requests behind a large one, which wait no less elsewhere.
MAX_COUNTED_SHARE = 0.75
LOOK_INTERVAL_S = 0.05
LARGE_LOOK_INTERVAL_S = 0.02  # until a large request is done, since the network may have nothing else to do
MAX_LOOKING_SHARE = 0.05  # of the time, as far as that allows; with many models there are many metrics
MAX_LOOK_INTERVAL_S = 0.5
SMOOTHING_S = 0.5  # over which speed is averaged, since batches leave the queue whole
RETRY_INTERVAL_S = 5.0  # where there are no metrics any more
# The next large request waits so long for small ones to be done, with which it would be merged.
PATIENCE_S = 0.25


class FlowControl:
    """What was handed to the network, and how much of it has left its queue.

    Args:
        look: what the metrics say; None where there are none, and then nothing is kept back.
        min_window_tokens: what the network may have before it, however slow it is.
        runs_whole: whether a request of any size runs in one go.
    """

    def __init__(
        self,
        look: Callable[[], Seen | None],
        min_window_tokens: int = MIN_WINDOW_TOKENS,
        *,
        runs_whole: bool = False,
    ) -> None:
        self.look = look
        self.min_window, self.runs_whole = min_window_tokens, runs_whole
        # Of each request that was handed on, the newest last: its tokens, and what it takes of the window.
        self.waiting: deque[tuple[int, int]] = deque()
        self.tokens = 0  # of the window, that all of those take
        self.handed_on = 0  # requests since the start
        self.large = 0  # the last large one, by its place among those
        self.large_done_s = 0.0  # when it was
        self.finished = Finished()
        self.looked_s = time.monotonic()
        self.speed = 0.0  # tokens per second
        self.window = min_window_tokens
        self.is_known = True  # how much waits
        self.is_stopping = False
        self.changed = Condition()  # also for those who wait for room
        self.thread = Thread(target=self.serve, daemon=True)
        self.thread.start()

    def room(self) -> int:
        """Tokens that may be handed on; 0 or less where others must be done first."""
        return self.window - (0 if self.is_stopping or not self.is_known else self.tokens)

    def has_room_for(self, tokens: int, room: int) -> bool:
        """Whether a request of so many tokens may be handed on to so much room."""
        is_free = self.is_stopping or not self.is_known or not self.is_large(tokens)
        return room > 0 and (is_free or not self.keeps_large_back())

    def is_large(self, tokens: int) -> bool:
        """Whether such a request holds the network longer than others are to wait."""
        return self.runs_whole and tokens > self.window

    def keeps_large_back(self) -> bool:
        """Whether the last large request is not done, or was so just now and small ones are about to be."""
        is_idle = self.finished.ours == self.handed_on
        return self.large_runs() or not (is_idle or time.monotonic() > self.large_done_s + PATIENCE_S)

    def large_runs(self) -> bool:
        """Whether the last large request waits or runs."""
        return bool(self.large > self.finished.ours)

    def hand_on(self, tokens: int) -> None:
        """Count a request of so many tokens, padding included, that goes to the network."""
        tokens += REQUEST_TOKENS
        with self.changed:
            self.waiting.append((tokens, min(tokens, int(self.window * MAX_COUNTED_SHARE))))
            self.tokens += self.waiting[-1][1]
            self.handed_on += 1
            if self.is_large(tokens):
                self.large, self.finished.since_s = self.handed_on, time.monotonic()
            if self.must_look():
                self.changed.notify_all()

    def must_look(self) -> bool:
        """Whether anybody may have to wait."""
        return self.is_stopping or self.tokens >= self.window / 2 or self.keeps_large_back()

    def serve(self) -> None:
        """See what is done: until there are metrics, and whenever half of the window is full."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.must_look() or not self.finished.is_known)
                if self.is_stopping:
                    return
                handed_on, started_s = self.handed_on, time.monotonic()
            seen = self.look()
            self.note(seen, handed_on)
            took_s = time.monotonic() - started_s
            least_s = LARGE_LOOK_INTERVAL_S if self.keeps_large_back() else LOOK_INTERVAL_S
            interval_s = min(max(least_s, took_s / MAX_LOOKING_SHARE), MAX_LOOK_INTERVAL_S)
            if seen is None:
                interval_s = RETRY_INTERVAL_S if self.finished.is_known else MAX_LOOK_INTERVAL_S
            with self.changed:
                self.changed.wait_for(lambda: self.is_stopping, interval_s)

    def note(self, seen: Seen | None, handed_on: int) -> None:
        """Take for done what does not wait: all but the newest that are pending of what had been `handed_on`.

        Where the network had nothing to do in between, it is faster than it looks; then the window is not in
        the way either.
        """
        with self.changed:
            self.is_known = seen is not None
            now_s = time.monotonic()
            is_running = self.large_runs()
            if seen:
                self.finished.note(seen, handed_on, now_s)
            if is_running and not self.large_runs():
                self.large_done_s = now_s
            waiting = (seen.pending if seen else 0) + self.handed_on - handed_on
            left = [self.waiting.popleft() for _ in range(len(self.waiting) - waiting)]
            done = sum(tokens for tokens, _ in left)
            took_s = max(now_s - self.looked_s, LOOK_INTERVAL_S)
            self.speed += min(1, took_s / SMOOTHING_S) * (done / took_s - self.speed)
            # A busy machine may take long to tell, and the network is to have work until the next look.
            window_s = WINDOW_S + min(took_s, MAX_LOOK_INTERVAL_S)
            self.window = max(self.min_window, int(self.speed * window_s))
            self.tokens, self.looked_s = self.tokens - sum(counted for _, counted in left), now_s
            self.changed.notify_all()

    def stop(self) -> None:
        """Keep nothing back any more."""
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
