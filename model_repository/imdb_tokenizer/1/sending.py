"""When answers are sent: while Triton waits for this model, not while it may be about to call it.

Copied into the repository beside the tokenizer model, which imports it.

Triton's Python backend keeps a list of the requests that have their last answer. It empties the list whenever
it begins to call the model, and adds to it whenever an answer comes, the first without the lock that it takes
for the second (`closed_requests_` in python_be.cc, 24.10 and the sources of June 2026). Where both happen at
once, tritonserver's memory is damaged, and it hangs. From the model's side they cannot while `execute` runs.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

import triton_python_backend_utils as pb_utils

# How long an answer waits for the next call; when none comes for so long, hardly one comes in that instant.
PATIENCE_S = 0.05


class SendingWindow:
    """Sends answers while it is open, which is as long as a call of the model lasts."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.is_open = False
        self.ready: deque[tuple[Any, Any]] = deque()  # senders and their responses

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Send what is ready, and what becomes so until the end."""
        with self.changed:
            self.is_open = True
            self.send_ready()
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.is_open = False

    def send(self, sender: Any, response: Any) -> None:
        """Send a request's only response, or keep it until the next call."""
        with self.changed:
            self.ready.append((sender, response))
            if self.is_open:
                self.send_ready()

    def flush(self) -> None:
        """Wait a moment for a call, then send what is ready without one."""
        with self.changed:
            if not self.ready:
                return
            self.changed.wait_for(lambda: not self.ready, PATIENCE_S)
            self.send_ready()

    def send_ready(self) -> None:
        """A client that is gone does not stop the others."""
        while self.ready:
            sender, response = self.ready.popleft()
            try:
                sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            except Exception as exc:  # noqa: BLE001 - others still wait for their answers
                pb_utils.Logger.log_error(f"could not answer a request: {exc}")
