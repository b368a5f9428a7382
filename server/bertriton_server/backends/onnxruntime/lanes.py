"""Requests side by side: under load each core runs a micro-batch of its own, on one thread.

Threads that share a run wait for one another at every operator, and for the one whose core is wanted
elsewhere, by the tokenizer for instance. Runs of one thread wait for nobody and get more done together. What
arrives alone, or would leave cores without work, is left to one run on all threads. A small one is not while
requests come several at a time: the other cores have the next ones to prepare meanwhile.

While Triton waits for the end of a call, its thread is a lane too: of what comes alone, no other thread is
woken. The answers that a call ends with are returned by it, which costs less than to send them: no thread
of Triton's is woken for each, and none here waits for that.

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
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any

import triton_python_backend_utils as pb_utils
from parts import Piece  # type: ignore[import-not-found]
from work import Turn, Work, refusal, respond  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parts import RowParts
    from refusals import Refusals  # type: ignore[import-not-found]

Named = dict[str, Any]  # arrays by the name of their input or output
if TYPE_CHECKING:
    Run = Callable[[list[str], list[Named], list[int]], list[Named]]

MICROSECONDS_PER_S = 1e6
MICRO_BATCH_KEY = "micro_batch_elements"
ALL_THREADS_KEY = "all_threads_elements"
# So many of those may wait for the one that takes turns; the rest stays in Triton's queue.
MAX_WAITING_LARGE_REQUESTS = 8
# How long the answer to a large one waits for Triton's next call before it is sent without one, and one for
# which a list of Triton's has to grow, see `send`.
SENDING_PATIENCE_S = 0.02
GROWTH_PATIENCE_S = 1.0
# So many answers that list has memory for before the first is returned rather than sent, which makes none.
# As many may be sent between two calls: those of large requests, and of some in parts.
LIST_SIZE = 16
# Two million tokens in micro-batches of 512 are enough to wait; more are refused at once.
MAX_WAITING_PARTS = 4096
# How long parts of a row let other requests go first, so that those do not wait for it, and it not for ever.
PATIENCE_S = 1.0
# So many calls are looked back to see whether requests come several at a time.
RECENT_CALLS = 8
# How much longer than an even share of the work a row may take before the cores that wait for it are missed.
MAX_UNEVENNESS = 1.25


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
        all_threads_elements: from how many on what is alone gets all threads though many requests come.
        count: of lanes.
        call_size: requests that a call may bring.
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
        all_threads_elements: int,
        count: int,
        call_size: int,
    ) -> None:
        self.read_inputs = read_inputs
        self.run = run
        self.run_alone = run_alone
        self.outputs = outputs
        self.parts = parts
        self.refusals = refusals
        self.elements = elements
        self.all_threads_elements = all_threads_elements
        self.least_list_size = min(LIST_SIZE, call_size)
        self.waiting: deque[Work] = deque()  # those that take turns
        self.large: deque[Work] = deque()  # those that wait for the large one that does
        self.call_sizes: deque[int] = deque(maxlen=RECENT_CALLS)  # requests of the last calls
        self.small = 0  # requests that are neither large nor in parts, and not answered
        self.is_called = False  # by Triton, which waits
        self.is_short_call = False  # all its small requests are no more than a micro-batch
        self.ready: deque[tuple[Work, Any]] = deque()  # answers that wait for a call
        self.sent = 0  # answers since the last call began, which is what Triton's list holds
        self.list_size = 0  # that it has memory for
        self.idle = self.count = count
        self.is_alone = False  # one run has all threads
        self.is_stopping = False
        lock = Lock()
        self.arrived = Condition(lock)
        self.left = Condition(lock)  # for a lane
        self.threads = [Thread(target=self.serve) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def take(self, requests: list[Any]) -> list[Any]:
        """Have requests answered; returns when there is room for more.

        Gives a response for each, or None where it was sent, or will be.
        """
        works = list(map(self.work_of, requests))
        with self.arrived:
            self.is_called, self.sent = True, 0
            self.call_sizes.append(len(requests))
            for work, refused in works:
                self.admit(work, refused)
            self.is_short_call = sum(work.size_left for work, _ in works if work.is_small) <= self.elements
            self.send_ready(may_grow=True)
            self.bring_a_large_one()
        while self.run_next(of_a_call=True):
            pass
        with self.arrived:
            if self.can_begin():
                self.arrived.notify()
            self.left.wait_for(lambda: not self.small and len(self.large) < MAX_WAITING_LARGE_REQUESTS)
            self.is_called = False
        return [work.returned for work, _ in works]

    def admit(self, work: Work, refused: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse, or None)
        """Let a request wait for a lane, or refuse it."""
        parts = work.pieces_left if work.is_in_parts else 0
        if not refused and parts and parts + self.waiting_parts() > MAX_WAITING_PARTS:
            reason = "large requests wait for the network already, try again later"
            refused = refusal(reason, "UNAVAILABLE")
        if refused:
            work.return_with_call(refused)
            return
        self.small += work.is_small
        (self.large if work.is_large else self.waiting).append(work)

    def send(self, work: Work, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer a request while Triton waits for this model, or when it has not called it for a moment.

        Its Python backend (24.10 to June 2026) empties its list of answered requests as it begins to call,
        without the lock under which answers add to it. Where the list has to grow in that instant, which
        doubles it, tritonserver's memory is damaged. So it grows while a call lasts.
        """
        with self.arrived:
            self.ready.append((work, response))
            if self.is_called:
                self.send_ready(may_grow=True)
                return
            for patience_s, may_grow in ((SENDING_PATIENCE_S, False), (GROWTH_PATIENCE_S, True)):
                if self.ready:
                    self.left.wait_for(lambda: not self.ready, patience_s)
                    self.send_ready(may_grow=may_grow)

    def send_ready(self, *, may_grow: bool) -> None:
        """Send the answers that wait for a call, or those that Triton's list has room for."""
        while self.ready and (may_grow or self.sent < self.list_size):
            work, response = self.ready.popleft()
            self.sent += 1
            while self.list_size < self.sent:
                self.list_size = max(1, 2 * self.list_size)
            work.finish(response)
        self.left.notify_all()

    def work_of(self, request: Any) -> tuple[Work, Any]:  # noqa: ANN401 (pb_utils)
        """A request in pieces, and the response to one that is refused for what it holds; else None."""
        try:
            named = self.read_inputs(request)
            error = self.refusals.emptiness(named)
        except Exception as exc:  # noqa: BLE001 - it belongs to the client that asked
            named, error = {}, exc
        pieces = tuple(self.cut(named)) if named and not error else ()
        wanted, timeout_s = request.requested_output_names(), request.timeout() / MICROSECONDS_PER_S
        work = Work(request.get_response_sender(), wanted, named, pieces, timeout_s)
        return work, None if pieces else refusal(str(error or "the request has no rows"))

    def waiting_parts(self) -> int:
        """Pieces of rows that wait."""
        return sum(work.pieces_left for work in self.waiting if work.is_in_parts)

    def bring_a_large_one(self) -> None:
        """Let the large request that came first take turns, where no other does."""
        if self.large and not any(work.is_large for work in self.waiting):
            self.waiting.append(self.large.popleft())
            self.left.notify_all()

    def wants_all_threads(self) -> bool:
        """Whether what waits is best done by one run on all threads."""
        is_small = sum(work.size_left for work in self.waiting) < self.all_threads_elements
        return not (is_small and max(self.call_sizes, default=0) > 1) and not self.can_share()

    def can_share(self) -> bool:
        """Whether what waits gives every lane about as much to do."""
        total = sum(work.size_left for work in self.waiting)
        longest = max(work.longest for work in self.waiting)
        last = self.waiting[-1]
        is_one_row = len(self.waiting) == 1 and sum(piece.rows for piece in last.pieces[last.next :]) <= 1
        return not is_one_row and longest * self.count <= MAX_UNEVENNESS * total

    def cut(self, named: Named) -> Iterator[Piece]:
        """A request in pieces that fit a micro-batch and go round the lanes, or cannot be cut."""
        rows = row_count(named)
        if rows and size(named) > self.elements * rows:
            for row in range(rows):
                yield from self.parts.cut(named, row, self.elements)
            return
        fitting = self.elements * rows // max(1, size(named))
        step = max(1, min(fitting, -(-rows // self.count)))
        for start in range(0, rows, step):
            yield Piece({name: array[start : start + step] for name, array in named.items()})

    def serve(self) -> None:
        """What a lane does until it is stopped and nothing waits any more."""
        while True:
            with self.arrived:
                self.arrived.wait_for(lambda: self.can_begin() or (self.is_stopping and not self.waiting))
                if not self.waiting:
                    return
            self.run_next()

    def can_begin(self) -> bool:
        """Whether there is something to run, and a core for it."""
        return bool(self.waiting) and self.idle > 0 and not self.is_alone

    def run_next(self, *, of_a_call: bool = False) -> bool:
        """Run a micro-batch where one can begin; for the thread of a call, while a small request waits."""
        with self.arrived:
            if not self.can_begin() or (of_a_call and not any(work.is_small for work in self.waiting)):
                return False
            self.is_alone = self.idle == self.count and self.wants_all_threads()
            run = self.run_alone if self.is_alone else self.run
            turns = self.next_micro_batch()
            self.idle -= 1
            if self.can_begin():
                self.arrived.notify()
        self.answer([turn for turn in turns if self.is_wanted(turn[0])], run)
        with self.arrived:
            self.idle += 1
            self.is_alone = False
            if self.is_stopping:
                self.arrived.notify_all()
            elif self.waiting:
                self.arrived.notify()
        return True

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
            answers = run_together(turns, self.outputs, run)
        except Exception as exc:  # noqa: BLE001 - whatever it was, it must not reach the neighbours
            if len(turns) == 1:
                self.refuse(turns[0][0], refusal(str(exc), "INTERNAL"))
                return
            pb_utils.Logger.log_warn(f"a batch of {len(turns)} failed, each request runs alone: {exc}")
            for turn in turns:
                self.answer([turn], run)
            return
        done = [
            (work, self.response(work, index, answer))
            for (work, index), answer in zip(turns, answers, strict=True)
        ]
        self.finish([(work, response) for work, response in done if response is not None])

    def response(self, work: Work, index: int, answer: Named) -> Any:  # noqa: ANN401 (pb_utils, or None)
        """Keep a piece's answer; with the last, the response to its request."""
        with self.arrived:  # another lane may bring an answer to the same request
            is_last = work.answers.count(None) == 1 and work.answers[index] is None
            work.answers[index] = answer
        if not is_last or work.is_refused:
            return None
        try:
            whole = work.answer()
            reason = self.refusals.reason(work.named, whole)
            return refusal(reason) if reason else respond(whole, work.wanted)
        except Exception as exc:  # noqa: BLE001 - others of the run still wait for their answers
            return refusal(str(exc), "INTERNAL")

    def finish(self, done: list[tuple[Work, Any]]) -> None:
        """Answer requests: with the end of the call where it has come or is near, else at once."""
        with self.arrived:
            small = [one for one in done if one[0].is_small]
            self.small -= len(small)
            if self.list_size >= self.least_list_size and (self.is_short_call or not self.small):
                for work, response in small:
                    work.return_with_call(response)
                if not self.small:
                    self.left.notify_all()
            else:
                self.ready.extend(small)
                self.send_ready(may_grow=True)  # a small one's call lasts
        for work, response in done:
            if not work.is_small:
                self.send(work, response)

    def refuse(self, work: Work, response: Any) -> None:  # noqa: ANN401 (pb_utils.InferenceResponse)
        """Answer a request with an error, once, and drop the pieces that still wait."""
        with self.arrived:
            is_first, work.is_refused = not work.is_refused, True
            work.drop_pieces()
            if work in self.waiting:
                self.waiting.remove(work)
            self.bring_a_large_one()
        if is_first:
            self.finish([(work, response)])

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
