"""When a request is sent again and when not: the flows of `Sender`, with every outcome given by hand.

Nothing is sent and no time passes but where a test lets it: a flow yields what it wants done and gets told
what came of it.
"""

from __future__ import annotations

import random
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
from tritonclient.grpc import service_pb2

from bertriton import (
    AccessDeniedError,
    BertritonError,
    ClientClosedError,
    ConnectionFailedError,
    DeadlineError,
    InvalidTextError,
    ModelNotFoundError,
    ModelNotReadyError,
    OverloadedError,
    RetryPolicy,
    ServerFailureError,
    UnavailableError,
    UnexpectedAnswerError,
)
from bertriton._wire import AskPort, Attempts, Call, Endpoint, Failed, Run, Sender, Sleep, Start, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ENDPOINT = Endpoint("triton:8001")
ANSWER = "an answer"
READY = service_pb2.ModelReadyResponse(ready=True)
NOT_READY = service_pb2.ModelReadyResponse(ready=False)
# A budget that never ends, for tests of something else.
PLENTY = {"budget": 10**6, "max_attempts": 10**4, "first_contact_attempts": 10**4}


@pytest.fixture(autouse=True)
def _same_draws_every_time() -> Iterator[None]:
    state = random.getstate()
    random.seed(20)
    yield
    random.setstate(state)


def as_it_is(response: object) -> Any:
    """What is made of an answer, after no further question."""
    yield from ()
    return response


def refused() -> Failed:
    return Failed(UnavailableError("as told"))


def attempts(timeout_s: float = 60.0, model: str = "imdb", **more: Any) -> Attempts:
    return Attempts(model, "", "r1", timeout_s, **more)


class Play:
    """A flow carried to its end: what it asked for, and its result or error."""

    def __init__(self, flow: Any, outcomes: Iterable[object]) -> None:
        self.steps: list[Any] = []
        self.error: BertritonError | None = None
        script, run = iter(outcomes), Run(flow)
        try:
            step = run.next()
            while step is not None:
                self.steps.append(step)
                step = run.next(self._outcome(step, script))
            self.result = run.result
        except BertritonError as error:
            self.error = error

    def _outcome(self, step: object, script: Iterator[object]) -> object:
        if isinstance(step, AskPort):
            return ""  # nothing is known
        return None if isinstance(step, Sleep) else next(script)

    @property
    def waits_s(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]

    @property
    def questions(self) -> list[Call]:
        """What was asked to learn why a request was refused."""
        return [step for step in self.steps if isinstance(step, Call) and step.method == "ModelReady"]


def play(sender: Sender, *outcomes: object, of: Attempts | None = None, diagnosis: object = READY) -> Play:
    """One request; behind the outcomes that are given, every question is answered by the diagnosis."""
    flow = sender.infer(of or attempts(), service_pb2.ModelInferRequest(), None, as_it_is)
    return Play(flow, chain(outcomes, repeat(diagnosis)))


def play_refusals(sender: Sender, *, of: Attempts | None = None) -> Play:
    """One request that nobody ever takes."""
    flow = sender.infer(of or attempts(), service_pb2.ModelInferRequest(), None, as_it_is)
    return Play(flow, (refused() for _ in repeat(None)))


def retries_of_refusals(sender: Sender) -> int:
    return len(play_refusals(sender).waits_s)


def test_the_bound_of_the_wait_doubles_up_to_its_maximum() -> None:
    sender = Sender(RetryPolicy(initial_backoff_s=0.05, max_backoff_s=0.5, **PLENTY), ENDPOINT)

    plays = [play(sender, *[refused()] * 6, ANSWER) for _ in range(2000)]

    largest = [max(waits) for waits in zip(*(each.waits_s for each in plays), strict=True)]
    assert [0.05, 0.1, 0.2, 0.4, 0.5, 0.5] == pytest.approx(largest, rel=0.01)
    assert all(found <= bound for found, bound in zip(largest, [0.05, 0.1, 0.2, 0.4, 0.5, 0.5], strict=True))


def test_a_wait_is_drawn_evenly_from_nothing_to_its_bound() -> None:
    bounds_s = [0.05, 0.1, 0.2, 0.4, 0.8]
    sender = Sender(RetryPolicy(initial_backoff_s=0.05, max_backoff_s=2.0, **PLENTY), ENDPOINT)

    plays = [play(sender, *[refused()] * 5, ANSWER) for _ in range(2000)]

    for bound_s, waits in zip(bounds_s, zip(*(each.waits_s for each in plays), strict=True), strict=True):
        quarters = [int(4 * wait / bound_s) for wait in waits]
        assert [500] * 4 == pytest.approx([quarters.count(part) for part in range(4)], abs=80)


def test_a_long_outage_does_not_overflow_the_wait() -> None:
    sender = Sender(RetryPolicy(max_backoff_s=2.0, **PLENTY), ENDPOINT)

    outage = play(sender, *[refused()] * 1500, ANSWER)

    assert outage.result == ANSWER
    assert max(outage.waits_s) <= 2.0


def test_retries_of_all_calls_come_out_of_one_budget() -> None:
    sender = Sender(RetryPolicy(budget=3, budget_per_s=0, budget_per_answer=0), ENDPOINT)

    assert len(play(sender, refused(), refused(), ANSWER).waits_s) == 2
    assert retries_of_refusals(sender) == 1
    assert retries_of_refusals(sender) == 0


def test_answers_refill_the_budget() -> None:
    sender = Sender(RetryPolicy(budget=1, budget_per_s=0, budget_per_answer=0.5), ENDPOINT)
    assert retries_of_refusals(sender) == 1

    play(sender, ANSWER)
    assert retries_of_refusals(sender) == 0
    play(sender, ANSWER)
    assert retries_of_refusals(sender) == 1


def test_a_full_budget_takes_no_more() -> None:
    sender = Sender(RetryPolicy(budget=2, budget_per_s=0, budget_per_answer=1), ENDPOINT)

    for _ in range(10):
        play(sender, ANSWER)

    assert retries_of_refusals(sender) == 2


def test_time_refills_the_budget() -> None:
    sender = Sender(RetryPolicy(budget=1, budget_per_s=2, budget_per_answer=0), ENDPOINT)
    assert retries_of_refusals(sender) == 1
    assert retries_of_refusals(sender) == 0

    time.sleep(0.6)

    assert retries_of_refusals(sender) == 1


def test_a_retry_that_does_not_happen_costs_no_budget() -> None:
    sender = Sender(RetryPolicy(budget=1, budget_per_s=0, budget_per_answer=0, max_backoff_s=0.01), ENDPOINT)

    for _ in range(5):
        assert play_refusals(sender, of=attempts(timeout_s=0)).waits_s == []

    assert retries_of_refusals(sender) == 1


def test_an_address_that_has_never_answered_gets_few_attempts() -> None:
    sender = Sender(RetryPolicy(max_attempts=9, first_contact_attempts=3), ENDPOINT)

    assert retries_of_refusals(sender) == 2
    play(sender, ANSWER)
    assert retries_of_refusals(sender) == 8


def test_first_contact_has_no_more_attempts_than_any_other() -> None:
    assert retries_of_refusals(Sender(RetryPolicy(max_attempts=2, first_contact_attempts=5), ENDPOINT)) == 1


def test_no_retry_begins_past_the_deadline() -> None:
    sender = Sender(RetryPolicy(initial_backoff_s=0.4, max_backoff_s=0.4, **PLENTY), ENDPOINT)

    plays = [play_refusals(sender, of=attempts(timeout_s=0.2)) for _ in range(200)]

    waits_s = [wait for each in plays for wait in each.waits_s]
    assert waits_s
    assert max(waits_s) < 0.2
    assert all(each.error for each in plays)


def test_each_attempt_has_what_is_left_of_the_time() -> None:
    request = service_pb2.ModelInferRequest()
    run = Run(Sender(RetryPolicy(), ENDPOINT).infer(attempts(timeout_s=30), request, None, as_it_is))
    first = run.next()
    assert isinstance(first, Call)
    assert first.timeout_s == pytest.approx(30, abs=0.5)

    run.next(refused())
    time.sleep(0.05)
    second = run.next()

    assert isinstance(second, Call)
    assert second.timeout_s <= first.timeout_s - 0.05
    assert request.parameters["timeout"].int64_param == int(second.timeout_s * 0.9 * 1e6)


@pytest.mark.parametrize(
    "error", [UnavailableError, ConnectionFailedError, OverloadedError, ModelNotReadyError]
)
def test_what_nobody_took_is_sent_again(error: type[BertritonError]) -> None:
    played = play(Sender(RetryPolicy(), ENDPOINT), Failed(error("as told")), ANSWER)

    assert played.result == ANSWER
    assert len(played.waits_s) == 1


@pytest.mark.parametrize(
    "error",
    [
        AccessDeniedError,
        ClientClosedError,
        DeadlineError,
        InvalidTextError,
        ModelNotFoundError,
        ServerFailureError,
        UnexpectedAnswerError,
    ],
)
def test_what_another_attempt_cannot_mend_is_sent_once(error: type[BertritonError]) -> None:
    played = play(Sender(RetryPolicy(), ENDPOINT), Failed(error("as told")), ANSWER)

    assert type(played.error) is error
    assert len(played.steps) == 1


def test_a_request_under_way_is_awaited_before_it_is_sent_again() -> None:
    request = service_pb2.ModelInferRequest()
    sender = Sender(RetryPolicy(), ENDPOINT)
    tries = attempts()
    started = Play(sender.start(tries, request), ["a handle"])

    played = Play(sender.infer(tries, request, started.result, as_it_is), [refused(), ANSWER])

    assert [Start] == [type(step) for step in started.steps]
    assert [Wait, Sleep, Call] == [type(step) for step in played.steps]
    assert played.steps[0].handle == "a handle"
    assert tries.count == 2


@pytest.mark.parametrize(
    ("diagnosis", "model", "expected", "words"),
    [
        (READY, "imdb", OverloadedError, "Triton at triton:8001 refused the request: as told"),
        (NOT_READY, "", OverloadedError, "refused the request"),
        (NOT_READY, "imdb", ModelNotReadyError, "model 'imdb' is not ready: as told"),
        (Failed(ModelNotFoundError("gone")), "imdb", ModelNotReadyError, "is not ready"),
        (Failed(UnavailableError("nobody")), "imdb", ConnectionFailedError, "cannot reach Triton at triton"),
        (Failed(DeadlineError("silence")), "imdb", ConnectionFailedError, "cannot reach Triton at triton"),
    ],
)
def test_a_refusal_has_the_name_that_the_servers_state_gives_it(
    diagnosis: object, model: str, expected: type[BertritonError], words: str
) -> None:
    sender = Sender(RetryPolicy(max_attempts=1), ENDPOINT)

    played = play(sender, refused(), of=attempts(model=model), diagnosis=diagnosis)

    assert type(played.error) is expected
    assert words in str(played.error)
    assert [question.request.name for question in played.questions] == [model]


def test_a_refusal_that_has_a_name_is_not_asked_about() -> None:
    played = play(Sender(RetryPolicy(max_attempts=1), ENDPOINT), Failed(OverloadedError("full")))

    assert played.error is not None
    assert played.error.message == "full"
    assert played.questions == []


@pytest.mark.parametrize(("timeout_s", "expected_s"), [(60.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_a_diagnosis_takes_no_more_than_a_second_nor_what_is_left(
    timeout_s: float, expected_s: float
) -> None:
    played = play_refusals(Sender(RetryPolicy(max_attempts=1), ENDPOINT), of=attempts(timeout_s))

    assert [expected_s] == pytest.approx([question.timeout_s for question in played.questions], abs=0.1)


def test_a_diagnosis_may_take_a_twentieth_of_the_time_beyond_the_deadline() -> None:
    over = attempts(timeout_s=0.1)
    time.sleep(0.1)

    played = play_refusals(Sender(RetryPolicy(), ENDPOINT), of=over)

    assert [question.timeout_s for question in played.questions] == [0.1 * 0.05]


def test_an_error_tells_its_circumstances_and_its_cause() -> None:
    sender = Sender(RetryPolicy(max_attempts=3), ENDPOINT)
    cause = OSError("the wire")
    failure = UnavailableError("as told")
    failure.__cause__ = cause

    error = play(sender, refused(), refused(), Failed(failure)).error

    assert error is not None
    assert (error.model, error.request_id, error.attempts) == ("imdb", "r1", 3)
    assert error.__cause__ is cause


def test_a_missed_deadline_tells_the_time_that_the_caller_gave() -> None:
    late = attempts(timeout_s=0.5, asked_timeout_s=2.0)

    error = play(Sender(RetryPolicy(), ENDPOINT), Failed(DeadlineError("too late")), of=late).error

    assert error is not None
    assert error.message == "no answer from model 'imdb' at triton:8001 within 2 s"
