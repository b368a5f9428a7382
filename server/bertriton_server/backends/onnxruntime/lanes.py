"""Requests side by side: under load each core runs a micro-batch of its own, on one thread.

Threads that share a run wait for one another at every operator, and for the one whose core is wanted
elsewhere, by the tokenizer for instance. Runs of one thread wait for nobody and get more done together. What
arrives alone, or would leave cores without work, is left to one run on all threads.

A large request runs in pieces, and pieces of different requests take turns: it neither needs memory for all
of its rows at once, nor makes others wait until it is done. Size is counted in elements of the first input,
which for a text classifier are tokens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Callable

Named = dict[str, Any]  # arrays by the name of their input or output
if TYPE_CHECKING:
    Run = Callable[[list[str], list[Named], list[int]], list[Named]]

MICRO_BATCH_KEY = "micro_batch_elements"
# What may wait for a lane while Triton already brings the next batch; the rest stays in Triton's queue, where
# its limits and time-outs apply. Some must wait here: with a queue policy, Triton 2.51 looks for an instance
# that has become free only every 500 ms, or when another request comes.
MAX_WAITING_REQUESTS = 8
MAX_WAITING_PIECES = 32
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
    pieces: deque[Named]
    answers: list[Named | None] = field(init=False)
    is_refused: bool = False

    def __post_init__(self) -> None:
        """Leave room for as many answers as there are pieces."""
        self.answers = [None] * len(self.pieces)

    def next_piece(self) -> Piece:
        """The piece that is next to run; it no longer waits."""
        index = len(self.answers) - len(self.pieces)
        return Piece(self, index, self.pieces.popleft())

    def response(self) -> Any:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """The answers of all pieces, rows one after the other."""
        joined = {
            name: np.concatenate([answer[name] for answer in self.answers if answer])
            for name in self.answers[0] or ()
            if name in self.wanted  # the runs of others' pieces may have had more
        }
        return respond(joined, self.wanted)

    def finish(self, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer the request; a client that is gone does not stop the lane."""
        try:
            self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as exc:  # noqa: BLE001 - others still wait for their answers
            pb_utils.Logger.log_error(f"could not answer a request: {exc}")


@dataclass
class Piece:
    """Some rows of a request, on their way through a lane."""

    work: Work
    index: int  # among the pieces of its request
    named: Named


class Lanes:
    """Threads that each run micro-batches of what waits.

    Args:
        read_inputs: the arrays of a request; the first is the one whose elements count.
        run: answers requests together on one thread, from output names, inputs and numbers of rows.
        run_alone: the same on all threads; while it runs, no lane does.
        outputs: names of all outputs.
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
        elements: int,
        count: int,
    ) -> None:
        self.read_inputs = read_inputs
        self.run = run
        self.run_alone = run_alone
        self.outputs = outputs
        self.elements = elements
        self.waiting: deque[Work] = deque()
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
        pieces = [self.cut(self.read_inputs(request)) for request in requests]
        works = [
            Work(request.get_response_sender(), request.requested_output_names(), of_one)
            for request, of_one in zip(requests, pieces, strict=True)
        ]
        with self.arrived:
            self.waiting.extend(works)
            self.arrived.notify_all()
            self.left.wait_for(self.has_room)

    def has_room(self) -> bool:
        """Whether so little waits that Triton may bring more."""
        pieces = sum(len(work.pieces) for work in self.waiting)
        return len(self.waiting) <= MAX_WAITING_REQUESTS and pieces <= MAX_WAITING_PIECES

    def can_share(self) -> bool:
        """Whether what waits gives every lane about as much to do."""
        pieces = [named for work in self.waiting for named in work.pieces]
        total = sum(map(size, pieces))
        longest = max(size(named) / max(1, row_count(named)) for named in pieces)
        is_one_row = sum(map(row_count, pieces)) <= 1
        return not is_one_row and longest * len(self.threads) <= MAX_UNEVENNESS * total

    def cut(self, named: Named) -> deque[Named]:
        """The rows of a request in pieces that fit a micro-batch and go round the lanes, or hold one row."""
        rows = row_count(named)
        fitting = self.elements * rows // max(1, size(named))
        step = max(1, min(fitting, -(-rows // len(self.threads))))
        starts = range(0, rows, step)
        return deque({name: array[start : start + step] for name, array in named.items()} for start in starts)

    def serve(self) -> None:
        """What a lane does until it is stopped and nothing waits any more."""
        while True:
            with self.arrived:
                self.arrived.wait_for(lambda: (self.waiting or self.is_stopping) and not self.is_alone)
                if not self.waiting:
                    return
                self.is_alone = self.idle == len(self.threads) and not self.can_share()
                run = self.run_alone if self.is_alone else self.run
                pieces = self.next_micro_batch()
                self.idle -= 1
                self.left.notify_all()
            self.answer(pieces, run)
            with self.arrived:
                self.idle += 1
                if self.is_alone:
                    self.is_alone = False
                    self.arrived.notify_all()

    def next_micro_batch(self) -> list[Piece]:
        """What a lane runs next: its share of what waits, a piece of each request in turn.

        What needs several runs is spread over them evenly: a small rest would use the machine badly.
        """
        total = sum(size(named) for work in self.waiting for named in work.pieces)
        lanes = 1 if self.is_alone else self.idle
        share = total / max(lanes, -(-total // self.elements))
        pieces: list[Piece] = []
        taken = 0
        while self.waiting and (not pieces or taken < share):
            taken += size(self.waiting[0].pieces[0])
            if pieces and taken > self.elements:
                break
            work = self.waiting.popleft()
            pieces.append(work.next_piece())
            if work.pieces:
                self.waiting.append(work)
        return pieces

    def answer(self, pieces: list[Piece], run: Run) -> None:
        """Run pieces together; should that fail, each alone, so that only bad ones fail."""
        try:
            for piece, answer in zip(pieces, run_together(pieces, self.outputs, run), strict=True):
                self.hand_over(piece, answer)
        except Exception as exc:  # noqa: BLE001 - whatever it was, it must not reach the neighbours
            if len(pieces) == 1:
                self.refuse(pieces[0].work, exc)
                return
            pb_utils.Logger.log_warn(f"a batch of {len(pieces)} failed, each request runs alone: {exc}")
            for piece in pieces:
                self.answer([piece], run)

    def hand_over(self, piece: Piece, answer: Named) -> None:
        """Keep a piece's answer; its request is answered with the last."""
        work = piece.work
        with self.arrived:  # another lane may bring an answer to the same request
            is_last = work.answers.count(None) == 1 and work.answers[piece.index] is None
            work.answers[piece.index] = answer
        if is_last:
            work.finish(work.response())

    def refuse(self, work: Work, reason: Exception) -> None:
        """Answer a request with an error, once, and drop the pieces that still wait."""
        with self.arrived:
            is_first, work.is_refused = not work.is_refused, True
            work.pieces.clear()
            if work in self.waiting:
                self.waiting.remove(work)
            self.left.notify_all()  # no lane may come by that would tell of the room
        if is_first:
            error = pb_utils.TritonError(f"onnxruntime: {reason}")
            work.finish(pb_utils.InferenceResponse(error=error))

    def stop(self) -> None:
        """Wait until all is answered."""
        with self.arrived:
            self.is_stopping = True
            self.arrived.notify_all()
        for thread in self.threads:
            thread.join()


def run_together(pieces: list[Piece], outputs: list[str], run: Run) -> list[Named]:
    """One run: the answer to each piece, in all outputs that any of them wants."""
    tensors = [piece.named for piece in pieces]
    names = [name for name in outputs if any(name in piece.work.wanted for piece in pieces)]
    return run(names, tensors, [row_count(named) for named in tensors])


def size(named: Named) -> int:
    """Elements of the first input."""
    return int(next(iter(named.values())).size)


def row_count(named: Named) -> int:
    """Rows of a request, or of a piece of one."""
    return len(next(iter(named.values())))
