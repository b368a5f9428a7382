"""Requests that take turns: each runs in pieces of a limited size, and pieces of several share a run.

So a request of many long rows neither needs memory for all of them at once, nor makes others wait until it is
done. Size is counted in elements of the first input, which for a text classifier are tokens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Callable

Named = dict[str, Any]  # arrays by the name of their input or output

MICRO_BATCH_KEY = "micro_batch_elements"
# Pieces of large requests that may wait for their turn while Triton already brings the next batch.
MAX_WAITING_PIECES = 32


def respond(answer: Named, wanted: set[str]) -> Any:  # noqa: ANN401 (pb_utils.InferenceResponse)
    """The response with those outputs that a request asked for."""
    return pb_utils.InferenceResponse(
        [pb_utils.Tensor(name, answer[name]) for name in answer if name in wanted]
    )


@dataclass
class Work:
    """A request that runs in pieces, and what it has got so far."""

    sender: Any  # pb_utils.InferenceResponseSender
    wanted: set[str]
    pieces: deque[Named]
    answers: list[Named]

    def finish(self, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer the request."""
        self.pieces.clear()
        self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def refuse(self, reason: Exception) -> None:
        """Answer the request with an error."""
        error = pb_utils.TritonError(f"onnxruntime: {reason}")
        self.finish(pb_utils.InferenceResponse(error=error))


class Turns:
    """A thread that gives each waiting request its turn.

    Args:
        read_inputs: the arrays of a request; the first is the one whose elements count.
        run: answers requests together, from output names, inputs and numbers of rows.
        outputs: names of all outputs.
        elements: how many make up a micro-batch.
    """

    def __init__(
        self,
        read_inputs: Callable[[Any], Named],
        run: Callable[[list[str], list[Named], list[int]], list[Named]],
        outputs: list[str],
        elements: int,
    ) -> None:
        self.read_inputs = read_inputs
        self.run = run
        self.outputs = outputs
        self.elements = elements
        self.waiting: deque[Work] = deque()
        self.changed = Condition()
        self.is_stopping = False
        self.thread = Thread(target=self.work)
        self.thread.start()

    def take(self, requests: list[Any]) -> bool:
        """Have requests answered in turns; False, with nothing done, when they fit one micro-batch.

        Returns when all that is left are requests of several pieces, so that Triton brings the next batch.
        Until then requests wait in Triton's queue, where its limits and time-outs apply.
        """
        tensors = [self.read_inputs(request) for request in requests]
        if not self.waiting and sum(map(size, tensors)) <= self.elements:
            return False
        works = [
            Work(request.get_response_sender(), request.requested_output_names(), self.cut(named), [])
            for request, named in zip(requests, tensors, strict=True)
        ]
        with self.changed:
            self.waiting.extend(works)
            self.changed.notify_all()
            self.changed.wait_for(self.has_room)
        return True

    def has_room(self) -> bool:
        """Whether only requests of several pieces are left, and not too many of those."""
        pieces = [len(work.pieces) for work in self.waiting]
        return min(pieces, default=2) > 1 and sum(pieces) <= MAX_WAITING_PIECES

    def cut(self, named: Named) -> deque[Named]:
        """The rows of a request in pieces that each fit a micro-batch, or hold one row."""
        rows = row_count(named)
        step = max(1, self.elements * rows // max(1, size(named)))
        starts = range(0, rows, step)
        return deque({name: array[start : start + step] for name, array in named.items()} for start in starts)

    def work(self) -> None:
        """What the thread does until it is stopped and nothing waits any more."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.is_stopping)
                turn = self.next_turn()
            if not turn:
                return
            try:
                self.answer(turn)
            except Exception as exc:  # noqa: BLE001 - a client that is gone must not stop the others' turns
                pb_utils.Logger.log_error(f"could not answer {len(turn)} request(s): {exc}")
                for work in turn:
                    work.pieces.clear()
            with self.changed:
                self.waiting = deque(work for work in self.waiting if work.pieces)
                self.changed.notify_all()

    def next_turn(self) -> list[Work]:
        """The requests whose next pieces make up a micro-batch; who has a turn goes to the end.

        What needs several runs is spread over them evenly: a small rest would use the machine badly.
        """
        turn: list[Work] = []
        total = sum(size(work.pieces[0]) for work in self.waiting)
        even_share = total / max(1, -(-total // self.elements))
        taken = 0
        while len(turn) < len(self.waiting) and taken < even_share:
            taken += size(self.waiting[0].pieces[0])
            if turn and taken > self.elements:
                break
            turn.append(self.waiting[0])
            self.waiting.rotate(-1)
        return turn

    def answer(self, turn: list[Work]) -> None:
        """Run the next piece of each; should that fail, each alone, so that only bad ones fail."""
        try:
            self.run_together(turn)
        except Exception as exc:  # noqa: BLE001 - whatever it was, it must not reach the neighbours
            if len(turn) == 1:
                turn[0].refuse(exc)
                return
            pb_utils.Logger.log_warn(f"a batch of {len(turn)} failed, each request runs alone: {exc}")
            for work in turn:
                if work.pieces:
                    self.answer([work])

    def run_together(self, turn: list[Work]) -> None:
        """One run; who has got all of its answers with it is answered."""
        tensors = [work.pieces[0] for work in turn]
        names = [name for name in self.outputs if any(name in work.wanted for work in turn)]
        answers = self.run(names, tensors, [row_count(named) for named in tensors])
        for work, answer in zip(turn, answers, strict=True):
            work.answers.append(answer)
            work.pieces.popleft()
            if not work.pieces:
                work.finish(respond(join(work.answers), work.wanted))

    def stop(self) -> None:
        """Wait until all is answered."""
        with self.changed:
            self.is_stopping = True
            self.changed.notify_all()
        self.thread.join()


def size(named: Named) -> int:
    """Elements of the first input."""
    return int(next(iter(named.values())).size)


def row_count(named: Named) -> int:
    """Rows of a request, or of a piece of one."""
    return len(next(iter(named.values())))


def join(answers: list[Named]) -> Named:
    """The outputs of all pieces, rows one after the other."""
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
