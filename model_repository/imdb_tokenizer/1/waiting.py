"""Requests on their way through the tokenizer: taken from Triton at once, dropped when nobody waits any more.

Copied into the repository beside the tokenizer model, which imports it.

Triton tells how long a request may take but not when it came, and never that the client of an ensemble is
gone. So requests are taken as they come, each with its time, and those that have waited longer than they may
are refused before any work. What is over the limits here stays in Triton's queue.

They come one by one, and the batches are made here: Triton's Python backend reads all texts of a batch before
the model sees any, and a string that says it is longer than what was sent would fail the whole batch.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, NamedTuple

import triton_python_backend_utils as pb_utils

MAX_WAITING_REQUESTS = 1024
MAX_WAITING_BYTES = 16 * 2**20  # they are in shared memory, of which a container may have 64 MB
MAX_BATCH_REQUESTS = 64
MAX_BATCH_BYTES = 2**20  # what came behind so much text is not made to wait for all of it
# Triton is not asked sooner whether a client is gone, which takes a while.
CANCELLATION_AFTER_S = 0.1
MICROSECONDS_PER_S = 1e6


class Waiting(NamedTuple):
    """A request that was taken from Triton."""

    request: Any  # pb_utils.InferenceRequest
    sender: Any  # its pb_utils.InferenceResponseSender
    size_bytes: int
    taken_s: float

    def end(self) -> str:
        """Why nobody waits for it any more; nothing where somebody may."""
        waited_s = time.monotonic() - self.taken_s
        timeout_s = self.request.timeout() / MICROSECONDS_PER_S
        if timeout_s and waited_s > timeout_s:
            return "the request waited longer than its timeout"
        if waited_s > CANCELLATION_AFTER_S and self.sender.is_cancelled():
            return "the request was cancelled"
        return ""

    def refuse(self, reason: str, code: str) -> None:
        """Answer it with an error of one of Triton's codes."""
        kind = pb_utils.TritonError  # which Triton adds to the module after it has loaded this one
        self.finish(pb_utils.InferenceResponse(error=kind(f"tokenizer: {reason}", getattr(kind, code))))

    def finish(self, response: Any) -> None:
        """Answer it; a client that is gone does not stop the others."""
        try:
            self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as exc:  # noqa: BLE001 - others still wait for their answers
            pb_utils.Logger.log_error(f"could not answer a request: {exc}")


class WaitingRoom:
    """One thread that answers requests batch by batch.

    Args:
        answer: gives the responses to requests, whatever they hold.
        refuses: what comes when there is no room is refused; else Triton may bring no more until there is.
    """

    def __init__(self, answer: Callable[[list[Any]], list[Any]], *, refuses: bool) -> None:
        self.answer = answer
        self.refuses = refuses
        self.waiting: deque[Waiting] = deque()
        self.bytes = 0
        self.is_stopping = False
        self.changed = Condition()
        self.thread = Thread(target=self.serve)
        self.thread.start()

    def take(self, request: Any, size_bytes: int) -> None:
        """Have a request answered that has so many bytes."""
        one = Waiting(request, request.get_response_sender(), size_bytes, time.monotonic())
        with self.changed:
            if self.refuses and not self.has_room():
                one.refuse("large texts wait already, try again later", "UNAVAILABLE")
                return
            self.waiting.append(one)
            self.bytes += size_bytes
            self.changed.notify_all()
            if not self.refuses:
                self.changed.wait_for(self.has_room)

    def has_room(self) -> bool:
        """Whether Triton may bring more."""
        return len(self.waiting) < MAX_WAITING_REQUESTS and self.bytes < MAX_WAITING_BYTES

    def serve(self) -> None:
        """Answer until stopped and nothing waits any more."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.is_stopping)
                if not self.waiting:
                    return
                batch = self.next_batch()
                self.changed.notify_all()
            self.answer_batch(batch)

    def next_batch(self) -> list[Waiting]:
        """What came first and fits a batch, or one request."""
        batch: list[Waiting] = []
        size_bytes = 0
        while self.waiting and len(batch) < MAX_BATCH_REQUESTS:
            size_bytes += self.waiting[0].size_bytes
            if batch and size_bytes > MAX_BATCH_BYTES:
                break
            batch.append(self.waiting.popleft())
            self.bytes -= batch[-1].size_bytes
        return batch

    def answer_batch(self, batch: list[Waiting]) -> None:
        """Answer those that somebody waits for."""
        wanted = []
        for one in batch:
            reason = one.end()
            if reason:
                one.refuse(reason, "CANCELLED")
            else:
                wanted.append(one)
        try:
            responses = self.answer([one.request for one in wanted]) if wanted else []
        except Exception as exc:  # noqa: BLE001 - others still wait for their answers
            for one in wanted:
                one.refuse(str(exc), "INTERNAL")
            return
        for one, response in zip(wanted, responses, strict=True):
            one.finish(response)

    def stop(self) -> None:
        """Wait until all is answered."""
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
        self.thread.join()
