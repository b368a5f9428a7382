"""Requests on their way through the tokenizer: taken from Triton at once, dropped when nobody waits any more.

Copied into the repository beside the tokenizer model, which imports it.

Triton tells how long a request may take but not when it came, and never that the client of an ensemble is
gone. So requests are taken as they come, and wait here until the network is about to get to them, see
flow_control.py. What is late then is refused before any work; what comes when too many wait, at once.

They come one by one, as configs.py asks, and batches are made here: Triton's Python backend reads all texts
of a batch before the model sees any, and a string that says it is longer than what was sent would fail the
whole batch.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Thread

from answers import Answer  # type: ignore[import-not-found]
from flow_control import FlowControl  # type: ignore[import-not-found]
from request import Waiting  # type: ignore[import-not-found]
from sending import SendingWindow  # type: ignore[import-not-found]

MAX_WAITING_REQUESTS = 256
MAX_WAITING_BYTES = 16 * 2**20  # they are in shared memory, of which a container may have 64 MB
MAX_BATCH_REQUESTS = 64
MAX_BATCH_BYTES = 2**20  # what came behind so much text is not made to wait for all of it
LOOK_INTERVAL_S = 0.05  # for deadlines that are over, while nothing can be handed on


class WaitingRoom:
    """One thread that answers requests batch by batch, as fast as the network takes them.

    Args:
        answer: answers requests, whatever they hold, and calls its second argument while that takes long.
        flow: tells how much may be handed on.
        window: sends the responses.
    """

    def __init__(self, answer: Callable[..., list[Answer]], flow: FlowControl, window: SendingWindow) -> None:
        self.answer = answer
        self.flow, self.changed = flow, flow.changed
        self.window = window
        self.waiting: deque[Waiting] = deque()
        self.bytes = 0
        self.is_warm = self.is_stopping = False
        self.thread = Thread(target=self.serve)
        self.thread.start()

    def warm_up(self, batch: list[Waiting]) -> None:
        """Answer the first call whole, whose answers no network waits for; sending.py says what it is for."""
        for one, answer in zip(batch, self.answer(batch, partial(self.look_around, batch)), strict=True):
            one.finish(answer.response)
        self.is_warm = True

    def take(self, one: Waiting) -> None:
        """Have a request answered, or refuse it where too much waits."""
        with self.changed:
            is_taken = len(self.waiting) < MAX_WAITING_REQUESTS and self.bytes < MAX_WAITING_BYTES
            if is_taken:
                self.waiting.append(one)
                self.bytes += one.size_bytes
                self.changed.notify_all()
        if not is_taken:
            one.refuse("too many requests wait already, try again later", "UNAVAILABLE")

    def answer_now(self, one: Waiting) -> None:
        """Answer a request before anything else is done, or have it wait where others do or the network."""
        with self.changed:
            must_wait = bool(self.waiting) or not self.fits(one)
        if one.is_late:
            one.refuse_late()
        elif must_wait:
            self.take(one)
        else:
            self.answer_batch([one])

    def serve(self) -> None:
        """Answer until stopped and nothing waits any more."""
        while self.has_work():
            self.refuse_late()
            with self.changed:
                batch = self.next_batch()
            self.answer_batch(batch)
            self.window.flush()

    def has_work(self) -> bool:
        """Wait for requests, and a moment for the network; False once there is nothing to wait for."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.is_stopping)
            self.changed.wait_for(
                lambda: not self.waiting or self.fits(min(self.waiting, key=self.due_s)), LOOK_INTERVAL_S
            )
            return bool(self.waiting)

    def fits(self, one: Waiting, room: int | None = None) -> bool:
        """Whether a request may be handed on to so much room, default: the network's."""
        room = self.flow.room() if room is None else room
        return bool(self.flow.has_room_for(one.about_tokens, room))

    def refuse_late(self) -> None:
        """Refuse those that have waited longer than they may."""
        late = list[Waiting]()
        with self.changed:
            for _ in range(len(self.waiting)):
                one = self.waiting.popleft()
                (late if one.is_late else self.waiting).append(one)
            self.bytes -= sum(one.size_bytes for one in late)
        for one in late:
            one.refuse_late()

    def next_batch(self) -> list[Waiting]:
        """Whose turn it is, as far as a batch and the network's queue have room; none if that is full."""
        batch, size_bytes, room = list[Waiting](), 0, self.flow.room()
        self.waiting = deque(sorted(self.waiting, key=self.due_s))
        while self.waiting and len(batch) < MAX_BATCH_REQUESTS and self.fits(self.waiting[0], room):
            size_bytes += self.waiting[0].size_bytes
            if batch and size_bytes > MAX_BATCH_BYTES:
                break
            batch.append(self.waiting.popleft())
            self.bytes -= batch[-1].size_bytes
            room -= batch[-1].about_tokens
        return batch

    def due_s(self, one: Waiting) -> float:
        """When it is a request's turn."""
        return float(one.due_s(self.flow.speed))

    def look_around(self, batch: list[Waiting]) -> None:
        """Refuse what is late behind a batch; raise TimeoutError where nobody waits for the batch itself."""
        self.refuse_late()
        if all(one.is_given_up for one in batch):
            raise TimeoutError("tokenizer: the request was given up, or waited longer than its timeout")

    def answer_batch(self, batch: list[Waiting]) -> None:
        """Answer those that somebody waits for."""
        wanted = list[Waiting]()
        for one in batch:
            if one.is_cancelled():
                one.refuse("the request was cancelled", "CANCELLED")
            else:
                wanted.append(one)
        try:
            answers = self.answer(wanted, partial(self.look_around, wanted)) if wanted else []
        except BaseException as exc:  # noqa: BLE001 - others still wait, and a panic in Rust is no Exception
            for one in wanted:
                one.refuse(str(exc), "INTERNAL")
            return
        for one, answer in zip(wanted, answers, strict=True):
            if answer.tokens:
                self.flow.hand_on(answer.tokens)
            one.finish(answer.response)

    def stop(self) -> None:
        """Wait until all is answered."""
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
        self.thread.join()
