"""When answers are sent: while Triton waits for this model, not while it may be about to call it.

Copied into the repository beside the tokenizer model, which imports it.

Triton's Python backend keeps a list of the requests that have their last answer. It empties the list whenever
it begins to call the model, and adds to it whenever an answer comes, the first without the lock that it takes
for the second (`closed_requests_` in python_be.cc, 24.10 and the sources of June 2026). Where the list has to
grow in that instant, tritonserver's memory is damaged, and it crashes or hangs. The list doubles when it is
full, and keeps its memory when it is emptied. So it grows while `execute` runs, when Triton cannot begin a
call, and the warm-up makes it grow at once. Between calls no answer is sent for which it would have to.

What a call returns is not on that list, and costs less than to send it: no thread of Triton's is woken for
it, and none here waits for that. So the answer to the only request of a call is returned where it is there.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

import triton_python_backend_utils as pb_utils

# How long an answer waits for the next call, and one for which the list has to grow.
PATIENCE_S = 0.05
GROWTH_PATIENCE_S = 1.0


class SendingWindow:
    """Sends answers while it is open, which is as long as a call of the model lasts."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.is_open = False
        self.only: Any = None  # the sender of a call's only request
        self.returned: list[Any] = []  # the answer to that
        self.ready: deque[tuple[Any, Any]] = deque()  # senders and their responses
        self.sent = 0  # since the last call began, which is what Triton's list holds
        self.list_size = 0  # that it has memory for

    @contextmanager
    def opened(self, only: Any = None) -> Iterator[list[Any]]:
        """Send what is ready, and what becomes so until the end.

        Args:
            only: the sender of the call's only request, whose answer is put into the list that is given
                instead, for the call to return.
        """
        with self.changed:
            self.is_open, self.sent, self.only, self.returned = True, 0, only, []
            self.send_ready(may_grow=True)
            self.changed.notify_all()
        try:
            yield self.returned
        finally:
            with self.changed:
                self.is_open, self.only = False, None

    def send(self, sender: Any, response: Any) -> None:
        """Send a request's only response, have the call return it, or keep it until the next call."""
        with self.changed:
            if sender is self.only:
                self.returned.append(response)
                return
            self.ready.append((sender, response))
            if self.is_open:
                self.send_ready(may_grow=True)

    def flush(self) -> None:
        """Wait a moment for a call, then send what is ready without one."""
        with self.changed:
            for patience_s, may_grow in ((PATIENCE_S, False), (GROWTH_PATIENCE_S, True)):
                if self.ready:
                    self.changed.wait_for(lambda: not self.ready, patience_s)
                    self.send_ready(may_grow=may_grow)

    def send_ready(self, *, may_grow: bool) -> None:
        """Send what the list has room for, or all; a client that is gone does not stop the others."""
        while self.ready and (may_grow or self.sent < self.list_size):
            sender, response = self.ready.popleft()
            self.sent += 1
            while self.list_size < self.sent:
                self.list_size = max(1, 2 * self.list_size)
            try:
                sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            except Exception as exc:  # noqa: BLE001 - others still wait for their answers
                pb_utils.Logger.log_error(f"could not answer a request: {exc}")
