"""How much the network has before it: what the tokenizer hands on is what it gets done within a moment.

Copied into the repository beside the tokenizer model, which imports it.

A limit of the network's own queue has Triton's core look for a free instance only when another request comes,
or every 500 ms. So that queue has none, and what would not run soon waits in the tokenizer, where it is still
seen that a deadline is over. How many requests wait for the network is told by Triton's metrics, and by what
was done meanwhile, how many it gets done within a moment.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

# Of work, counted in tokens. A machine of any speed may have so much before it, or its cores would not all be
# busy until their speed is known.
MIN_WINDOW_TOKENS = 4096
WINDOW_S = 0.25  # what waits in the network's queue is computed even if its deadline is over by then
REQUEST_TOKENS = 32  # a request takes as much time besides as about so many tokens
LOOK_INTERVAL_S = 0.05
MAX_LOOKING_SHARE = 0.05  # of the time, as far as that allows; with many models there are many metrics
MAX_LOOK_INTERVAL_S = 0.5
SMOOTHING_S = 0.5  # over which speed is averaged, since batches leave the queue whole
RETRY_INTERVAL_S = 5.0  # where there are no metrics


class FlowControl:
    """What was handed to the network, and how much of it has left its queue.

    Args:
        count_pending: tells how many requests wait for the network; None where that is not known, and then
            nothing is kept back.
    """

    def __init__(self, count_pending: Callable[[], int | None]) -> None:
        self.count_pending = count_pending
        self.waiting: deque[int] = deque()  # tokens of each request that was handed on, the newest last
        self.tokens = 0  # of all of those
        self.handed_on = 0  # requests since the start
        self.looked_s = time.monotonic()
        self.speed = 0.0  # tokens per second
        self.window = MIN_WINDOW_TOKENS
        self.is_known = True  # how much waits
        self.is_stopping = False
        self.changed = Condition()  # also for those who wait for room
        self.thread = Thread(target=self.serve, daemon=True)
        self.thread.start()

    def room(self) -> int:
        """Tokens that may be handed on; 0 or less where others must be done first."""
        return self.window - (0 if self.is_stopping or not self.is_known else self.tokens)

    def hand_on(self, tokens: int) -> None:
        """Count a request of so many tokens, padding included, that goes to the network."""
        with self.changed:
            self.waiting.append(tokens + REQUEST_TOKENS)
            self.tokens += self.waiting[-1]
            self.handed_on += 1
            if self.tokens >= self.window / 2:
                self.changed.notify_all()

    def serve(self) -> None:
        """See what is done, whenever half of the window is full."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.is_stopping or self.tokens >= self.window / 2)
                if self.is_stopping:
                    return
                handed_on, started_s = self.handed_on, time.monotonic()
            pending = self.count_pending()
            self.note(pending, handed_on)
            took_s = time.monotonic() - started_s
            interval_s = min(max(LOOK_INTERVAL_S, took_s / MAX_LOOKING_SHARE), MAX_LOOK_INTERVAL_S)
            with self.changed:
                self.changed.wait_for(
                    lambda: self.is_stopping, RETRY_INTERVAL_S if pending is None else interval_s
                )

    def note(self, pending: int | None, handed_on: int) -> None:
        """Take for done what does not wait: all but the newest `pending` of what had been `handed_on`.

        Where the network had nothing to do in between, it is faster than it looks; then the window is not in
        the way either.
        """
        with self.changed:
            self.is_known = pending is not None
            waiting = (pending or 0) + self.handed_on - handed_on
            done = sum(self.waiting.popleft() for _ in range(len(self.waiting) - waiting))
            now_s = time.monotonic()
            took_s = max(now_s - self.looked_s, LOOK_INTERVAL_S)
            self.speed += min(1, took_s / SMOOTHING_S) * (done / took_s - self.speed)
            # A busy machine may take long to tell, and the network is to have work until the next look.
            window_s = WINDOW_S + min(took_s, MAX_LOOK_INTERVAL_S)
            self.window = max(MIN_WINDOW_TOKENS, int(self.speed * window_s))
            self.tokens, self.looked_s = self.tokens - done, now_s
            self.changed.notify_all()

    def stop(self) -> None:
        """Keep nothing back any more."""
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
