"""Requests side by side: under load each core runs a micro-batch of its own, on one thread.

Threads that share a run wait for one another at every operator, and for the one whose core is wanted
elsewhere, by the tokenizer for instance. Runs of one thread wait for nobody and get more done together. What
arrives alone, or would leave cores without work, is left to one run on all threads.

A large request runs in pieces, and pieces of different requests take turns: it neither needs memory for all
of its rows at once, nor makes others wait until it is done. Of requests in many pieces one at a time takes
turns, or each would wait for all. One large row is cut as well, where the network says how, see parts.py.
Size is counted in elements of the first input, which for a text classifier are tokens.

Before a piece runs it is seen whether anybody still waits for it: a request that was cancelled, or has taken
longer than its client gave it, is dropped with all its pieces.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any

import triton_python_backend_utils as pb_utils
from parts import WHOLE_ROWS, Piece, joined  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parts import RowParts
    from refusals import Refusals  # type: ignore[import-not-found]

Named = dict[str, Any]  # arrays by the name of their input or output
if TYPE_CHECKING:
    Run = Callable[[list[str], list[Named], list[int]], list[Named]]

MICROSECONDS_PER_S = 1e6
MICRO_BATCH_KEY = "micro_batch_elements"
# A request of more pieces is large: it takes turns with others, and Triton may bring them meanwhile.
MAX_SMALL_PIECES = 8
# So many of those may wait for the one that takes turns; the rest stays in Triton's queue.
MAX_WAITING_LARGE_REQUESTS = 8
# How long the answer to a large one waits for Triton's next call before it is sent without one, see `send`.
SENDING_PATIENCE_S = 0.02
# Two million tokens in micro-batches of 512 are enough to wait; more are refused at once.
MAX_WAITING_PARTS = 4096
# How long parts of a row let other requests go first, so that those do not wait for it, and it not for ever.
PATIENCE_S = 1.0
# Triton is asked no sooner and no more often whether a client is gone, which takes a while.
CANCELLATION_INTERVAL_S = 0.1
# How much longer than an even share of the work a row may take before the cores that wait for it are missed.
MAX_UNEVENNESS = 1.25


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

    def __post_init__(self) -> None:
        """Leave room for as many answers as there are pieces."""
        self.answers = [None] * len(self.pieces)
        self.size_left = sum(piece.size for piece in self.pieces)
        self.longest = max(piece.size / max(1, piece.rows) for piece in self.pieces)
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
            if self.sender.is_cancelled():
                return "the request was cancelled"
        return None

    def finish(self, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer the request; a client that is gone does not stop the lane."""
        try:
            self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as exc:  # noqa: BLE001 - others still wait for their answers
            pb_utils.Logger.log_error(f"could not answer a request: {exc}")


Turn = tuple[Work, int]  # a request, and which of its pieces


def refusal(reason: str, code: str = "INVALID_ARG") -> Any:  # noqa: ANN401
    """The response that refuses a request, with one of Triton's codes."""
    kind = pb_utils.TritonError  # which Triton adds to the module after it has loaded this one
    return pb_utils.InferenceResponse(error=kind(f"onnxruntime: {reason}", getattr(kind, code)))


class Lanes:
    """Threads that each run micro-batches of what waits.

    Args:
        read_inputs: the arrays of a request; the first is the one whose elements count.
        run: answers requests together on one thread, from output names, inputs and numbers of rows.
        run_alone: the same on all threads; while it runs, no lane does.
        outputs: names of all outputs.
        parts: how rows may be cut.
        refusals: what the network refuses.
        elements: how many make up a micro-batch.
        count: of lanes.
    """

    def __init__(
        self,
        read_inputs: Callable[[Any], Named],
        run: Run,
        run_alone: Run,
        *,
        outputs: list[str],
        parts: RowParts,
        refusals: Refusals,
        elements: int,
        count: int,
    ) -> None:
        self.read_inputs = read_inputs
        self.run = run
        self.run_alone = run_alone
        self.outputs = outputs
        self.parts = parts
        self.refusals = refusals
        self.elements = elements
        self.waiting: deque[Work] = deque()  # those that take turns
        self.large: deque[Work] = deque()  # those that wait for the large one that does
        self.small = 0  # requests that are neither large nor in parts, and not answered
        self.is_called = False  # by Triton, which waits
        self.ready: deque[tuple[Work, Any]] = deque()  # answers that wait for a call
        self.idle = count
        self.is_alone = False  # one run has all threads
        self.is_stopping = False
        lock = Lock()
        self.arrived = Condition(lock)
        self.left = Condition(lock)  # for a lane
        self.threads = [Thread(target=self.serve) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def take(self, requests: list[Any]) -> None:
        """Have requests answered, by response senders; returns when there is room for more."""
        works = [work for work in map(self.work_of, requests) if work]
        with self.arrived:
            self.is_called = True
            self.send_ready()
            for work in works:
                parts = work.pieces_left if work.is_in_parts else 0
                if parts and parts + self.waiting_parts() > MAX_WAITING_PARTS:
                    reason = "large requests wait for the network already, try again later"
                    work.finish(refusal(reason, "UNAVAILABLE"))
                else:
                    self.small += work.is_small
                    (self.large if work.is_large else self.waiting).append(work)
            self.bring_a_large_one()
            self.arrived.notify_all()
            self.left.wait_for(lambda: not self.small and len(self.large) < MAX_WAITING_LARGE_REQUESTS)
            self.is_called = False

    def send(self, work: Work, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer a request while Triton waits for this model, or when it has not called it for a moment.

        Its Python backend (24.10 to June 2026) empties its list of answered requests as it begins to call,
        without the lock under which answers add to it: at once, the two damage tritonserver's memory.
        """
        with self.arrived:
            self.ready.append((work, response))
            if self.is_called:
                self.send_ready()
            else:
                self.left.wait_for(lambda: not self.ready, SENDING_PATIENCE_S)
                self.send_ready()

    def send_ready(self) -> None:
        """Send all answers that wait for a call."""
        while self.ready:
            work, response = self.ready.popleft()
            self.small -= work.is_small
            work.finish(response)
        self.left.notify_all()

    def work_of(self, request: Any) -> Work | None:  # noqa: ANN401 (pb_utils.InferenceRequest)
        """A request in pieces; None where it was refused for what it holds."""
        try:
            named = self.read_inputs(request)
            error = self.refusals.emptiness(named)
        except Exception as exc:  # noqa: BLE001 - it belongs to the client that asked
            named, error = {}, exc
        sender = request.get_response_sender()
        pieces = tuple(self.cut(named)) if named and not error else ()
        wanted = request.requested_output_names()
        if pieces:
            return Work(sender, wanted, named, pieces, request.timeout() / MICROSECONDS_PER_S)
        response = refusal(str(error or "the request has no rows"))
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None

    def waiting_parts(self) -> int:
        """Pieces of rows that wait."""
        return sum(work.pieces_left for work in self.waiting if work.is_in_parts)

    def bring_a_large_one(self) -> None:
        """Let the large request that came first take turns, where no other does."""
        if self.large and not any(work.is_large for work in self.waiting):
            self.waiting.append(self.large.popleft())

    def can_share(self) -> bool:
        """Whether what waits gives every lane about as much to do."""
        total = sum(work.size_left for work in self.waiting)
        longest = max(work.longest for work in self.waiting)
        last = self.waiting[-1]
        is_one_row = len(self.waiting) == 1 and sum(piece.rows for piece in last.pieces[last.next :]) <= 1
        return not is_one_row and longest * len(self.threads) <= MAX_UNEVENNESS * total

    def cut(self, named: Named) -> Iterator[Piece]:
        """A request in pieces that fit a micro-batch and go round the lanes, or cannot be cut."""
        rows = row_count(named)
        if rows and size(named) > self.elements * rows:
            for row in range(rows):
                yield from self.parts.cut(named, row, self.elements)
            return
        fitting = self.elements * rows // max(1, size(named))
        step = max(1, min(fitting, -(-rows // len(self.threads))))
        for start in range(0, rows, step):
            yield Piece({name: array[start : start + step] for name, array in named.items()})

    def serve(self) -> None:
        """What a lane does until it is stopped and nothing waits any more."""
        while True:
            with self.arrived:
                self.arrived.wait_for(lambda: (self.waiting or self.is_stopping) and not self.is_alone)
                if not self.waiting:
                    return
                self.is_alone = self.idle == len(self.threads) and not self.can_share()
                run = self.run_alone if self.is_alone else self.run
                turns = self.next_micro_batch()
                self.idle -= 1
                self.left.notify_all()
            self.answer([turn for turn in turns if self.is_wanted(turn[0])], run)
            with self.arrived:
                self.idle += 1
                if self.is_alone:
                    self.is_alone = False
                    self.arrived.notify_all()

    def is_wanted(self, work: Work) -> bool:
        """Whether somebody still waits for a request; where nobody does, it is dropped."""
        reason = None if work.is_refused else work.end()
        if reason:
            self.refuse(work, refusal(reason, "CANCELLED"))
        return not work.is_refused

    def next_micro_batch(self) -> list[Turn]:
        """What a lane runs next: its share of what waits, a piece of each request in turn.

        What needs several runs is spread over them evenly: a small rest would use the machine badly.
        """
        self.let_small_ones_go_first()
        total = sum(work.size_left for work in self.waiting)
        lanes = 1 if self.is_alone else self.idle
        share = total / max(lanes, -(-total // self.elements))
        turns: list[Turn] = []
        taken = 0
        while self.waiting and (not turns or taken < share):
            taken += self.waiting[0].next_size
            if turns and taken > self.elements:
                break
            work = self.waiting.popleft()
            turns.append(work.take_piece())
            if work.pieces_left:
                self.waiting.append(work)
            self.bring_a_large_one()
        return turns

    def let_small_ones_go_first(self) -> None:
        """Move large rows behind all others, unless they have waited long."""
        now_s = time.monotonic()
        for _ in range(len(self.waiting)):
            first = self.waiting[0]
            if not first.is_in_parts or now_s - first.ran_s > PATIENCE_S:
                return
            self.waiting.rotate(-1)

    def answer(self, turns: list[Turn], run: Run) -> None:
        """Run pieces together; should that fail, each alone, so that only bad ones fail."""
        if not turns:
            return
        try:
            for turn, answer in zip(turns, run_together(turns, self.outputs, run), strict=True):
                self.hand_over(*turn, answer)
        except Exception as exc:  # noqa: BLE001 - whatever it was, it must not reach the neighbours
            if len(turns) == 1:
                self.refuse(turns[0][0], refusal(str(exc), "INTERNAL"))
                return
            pb_utils.Logger.log_warn(f"a batch of {len(turns)} failed, each request runs alone: {exc}")
            for turn in turns:
                self.answer([turn], run)

    def hand_over(self, work: Work, index: int, answer: Named) -> None:
        """Keep a piece's answer; its request is answered with the last."""
        with self.arrived:  # another lane may bring an answer to the same request
            is_last = work.answers.count(None) == 1 and work.answers[index] is None
            work.answers[index] = answer
        if is_last and not work.is_refused:
            whole = work.answer()
            reason = self.refusals.reason(work.named, whole)
            self.send(work, refusal(reason) if reason else respond(whole, work.wanted))

    def refuse(self, work: Work, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer a request with an error, once, and drop the pieces that still wait."""
        with self.arrived:
            is_first, work.is_refused = not work.is_refused, True
            work.drop_pieces()
            if work in self.waiting:
                self.waiting.remove(work)
            self.bring_a_large_one()
        if is_first:
            self.send(work, response)

    def stop(self) -> None:
        """Wait until all is answered."""
        with self.arrived:
            self.is_stopping = True
            self.arrived.notify_all()
        for thread in self.threads:
            thread.join()


def run_together(turns: list[Turn], outputs: list[str], run: Run) -> list[Named]:
    """One run: the answer to each piece, in all outputs that any of them wants."""
    pieces = [work.pieces[index] for work, index in turns]
    names = [name for name in outputs if any(name in work.wanted for work, _ in turns)]
    return run(names, [piece.named for piece in pieces], [piece.rows for piece in pieces])


def size(named: Named) -> int:
    """Elements of the first input."""
    return int(next(iter(named.values())).size)


def row_count(named: Named) -> int:
    """Rows of a request."""
    return len(next(iter(named.values())))
