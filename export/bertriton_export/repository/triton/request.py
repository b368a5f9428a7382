"""A request on its way through the tokenizer: when it came, how long it may wait, and how it is answered.

Copied into the repository beside the tokenizer model, which imports it.
"""

import time
from typing import Any, NamedTuple

import triton_python_backend_utils as pb_utils
from flow_control import REQUEST_TOKENS  # type: ignore[import-not-found]
from sending import SendingWindow  # type: ignore[import-not-found]
from texts import MAX_STRINGS  # type: ignore[import-not-found]

# Triton is not asked sooner whether a client is gone, which takes a while.
CANCELLATION_AFTER_S = 0.1
BYTES_PER_TOKEN = 4  # about
MAX_WAIT_S = 30.0  # of a request that does not say how long it may take, or says longer
MICROSECONDS_PER_S = 1e6
# Who comes later, by up to so many times a request's work, is served before it: a short text does not wait
# for all lists that came before, and a list waits a few seconds longer at most.
LATER_PER_WORK = 10
MAX_LATER_S = 5.0


class Waiting(NamedTuple):
    """A request that was taken from Triton."""

    rows: Any  # its texts, [rows, 1, texts of a row]
    parameters: str  # what it asks for, as JSON
    sender: Any  # its pb_utils.InferenceResponseSender
    window: SendingWindow
    size_bytes: int  # about; of its texts
    taken_s: float
    limit_s: float  # how long it may wait

    @classmethod
    def of(cls, request: Any, window: SendingWindow) -> "Waiting":
        """A request that came just now."""
        taken_s = time.monotonic()
        limit_s = min(request.timeout() / MICROSECONDS_PER_S or MAX_WAIT_S, MAX_WAIT_S)
        rows = request.inputs()[0].as_numpy()
        # Of more strings than a request may have none was read, and it is refused by its shape.
        size_bytes = sum(map(len, rows.flat)) if rows.size <= MAX_STRINGS else 0
        sender = request.get_response_sender()
        return cls(rows, request.parameters(), sender, window, size_bytes, taken_s, limit_s)

    @property
    def about_tokens(self) -> int:
        """How many it may have, before it is tokenized; what truncation leaves out is counted too."""
        return int(self.size_bytes // BYTES_PER_TOKEN + REQUEST_TOKENS)

    def due_s(self, speed: float) -> float:
        """When it is its turn, with so many tokens a second: the later, the more work it is."""
        work_s = self.about_tokens / max(speed, 1.0)
        return self.taken_s + min(LATER_PER_WORK * work_s, MAX_LATER_S)

    @property
    def is_late(self) -> bool:
        """Whether it has waited longer than it may."""
        return self.has_waited(self.limit_s)

    def has_waited(self, limit_s: float) -> bool:
        """Whether it has waited longer than that."""
        return time.monotonic() - self.taken_s > limit_s

    def is_cancelled(self) -> bool:
        """Whether Triton knows that nobody waits for it."""
        return self.has_waited(CANCELLATION_AFTER_S) and bool(self.sender.is_cancelled())

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.is_late or self.is_cancelled()

    def refuse(self, reason: str, code: str) -> None:
        """Answer it with an error of one of Triton's codes."""
        kind = pb_utils.TritonError  # which Triton adds to the module after it has loaded this one
        self.finish(pb_utils.InferenceResponse(error=kind(f"tokenizer: {reason}", getattr(kind, code))))

    def refuse_late(self) -> None:
        """Say that it is."""
        self.refuse("the request waited longer than its timeout", "CANCELLED")

    def finish(self, response: Any) -> None:
        """Answer it."""
        self.window.send(self.sender, response)
