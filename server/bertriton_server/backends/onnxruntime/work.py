"""A request on its way through the lanes: its pieces, their answers, and whether anybody still waits.

Once its last answer is sent, Triton frees what it would be asked of, so that one lock is for both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import triton_python_backend_utils as pb_utils
from parts import WHOLE_ROWS, Piece, joined  # type: ignore[import-not-found]

Named = dict[str, Any]  # arrays by the name of their input or output
# A request of more pieces is large: it takes turns with others, and Triton may bring them meanwhile.
MAX_SMALL_PIECES = 8
# Triton is asked no sooner and no more often whether a client is gone, which takes a while.
CANCELLATION_INTERVAL_S = 0.1


def respond(answer: Named, wanted: set[str]) -> Any:  # noqa: ANN401 (pb_utils.InferenceResponse)
    """The response with those outputs that a request asked for."""
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, answer[name]) for name in answer if name in wanted]
    )


@dataclass(eq=False)
class Work:
    """A request: its pieces that still wait for a lane, and the answers to those that had one."""

    sender: Any  # pb_utils.InferenceResponseSender
    wanted: set[str]
    named: Named
    pieces: tuple[Piece, ...]
    timeout_s: float  # that the client gave it; 0: any
    taken_s: float = field(default_factory=time.monotonic)
    answers: list[Named | None] = field(init=False)
    next: int = 0  # piece to run
    size_left: int = field(init=False)  # of the pieces that wait
    is_refused: bool = False
    asked_s: float = field(init=False)  # when Triton was asked whether the client is gone
    sending: Lock = field(default_factory=Lock)
    is_sent: bool = False
    returned: Any = None  # the pb_utils.InferenceResponse with which Triton's call ends

    def __post_init__(self) -> None:
        """Leave room for as many answers as there are pieces."""
        self.answers = [None] * len(self.pieces)
        self.size_left = sum(piece.size for piece in self.pieces)
        self.longest = max((piece.size / max(1, piece.rows) for piece in self.pieces), default=0)
        self.is_in_parts = any(piece.row != WHOLE_ROWS for piece in self.pieces)
        self.is_large = not self.is_in_parts and len(self.pieces) > MAX_SMALL_PIECES
        self.asked_s = self.ran_s = self.taken_s

    @property
    def is_small(self) -> bool:
        """Whether Triton waits for its answer before it brings others."""
        return not (self.is_large or self.is_in_parts)

    @property
    def pieces_left(self) -> int:
        """How many wait for a lane."""
        return len(self.pieces) - self.next

    @property
    def next_size(self) -> int:
        """Elements of the piece that is next to run."""
        return int(self.pieces[self.next].size)

    def take_piece(self) -> tuple[Work, int]:
        """The piece that is next to run; it no longer waits."""
        index, self.next = self.next, self.next + 1
        self.ran_s = time.monotonic()
        self.size_left -= self.pieces[index].size
        return self, index

    def drop_pieces(self) -> None:
        """Let none of them run any more."""
        self.next, self.size_left = len(self.pieces), 0

    def answer(self) -> Named:
        """The answers of all pieces, rows one after the other."""
        return {
            name: joined(self.pieces, [answer[name] for answer in self.answers if answer])
            for name in self.answers[0] or ()
            if name in self.wanted  # the runs of others' pieces may have had more
        }

    def end(self) -> str | None:
        """Why nobody waits for this any more; None where somebody may."""
        now_s = time.monotonic()
        if self.timeout_s and now_s - self.taken_s > self.timeout_s:
            return "the request took longer than its timeout"
        if now_s - self.asked_s > CANCELLATION_INTERVAL_S:
            self.asked_s = now_s
            with self.sending:
                if not self.is_sent and self.sender.is_cancelled():
                    return "the request was cancelled"
        return None

    def return_with_call(self, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer the request with the end of the call that brought it."""
        with self.sending:
            self.is_sent, self.returned = True, response

    def finish(self, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer the request; a client that is gone does not stop the lane."""
        try:
            with self.sending:
                self.is_sent = True
                self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as exc:  # noqa: BLE001 - others still wait for their answers
            pb_utils.Logger.log_error(f"could not answer a request: {exc}")


def refusal(reason: str, code: str = "INVALID_ARG") -> Any:  # noqa: ANN401
    """The response that refuses a request, with one of Triton's codes."""
    kind = pb_utils.TritonError  # which Triton adds to the module after it has loaded this one
    return pb_utils.InferenceResponse(error=kind(f"onnxruntime: {reason}", getattr(kind, code)))


Turn = tuple[Work, int]  # a request, and which of its pieces
