"""What becomes of each kind of failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from bertriton import (
    AccessDeniedError,
    BertritonError,
    Classification,
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Client

Scripted = Any  # a ScriptedTriton and its client
# As Triton's own ONNX Runtime backend tells of a node of the graph that fails.
BROKEN = "in ensemble 'imdb', onnx runtime error 1: Non-zero status code returned while running stub process."

# Every status that is a failure, and what it arrives as where the model is ready.
STATUS_TO_EXPECTED = {
    grpc.StatusCode.CANCELLED: OverloadedError,
    grpc.StatusCode.UNKNOWN: ServerFailureError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidTextError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: ModelNotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ServerFailureError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.FAILED_PRECONDITION: ServerFailureError,
    grpc.StatusCode.ABORTED: ServerFailureError,
    grpc.StatusCode.UNIMPLEMENTED: ServerFailureError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidTextError,
    grpc.StatusCode.INTERNAL: ServerFailureError,
    grpc.StatusCode.UNAVAILABLE: OverloadedError,
    grpc.StatusCode.DATA_LOSS: UnexpectedAnswerError,
}
# Those that say that nobody took the request.
RETRIED = {grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


def test_every_failure_is_expected_as_something() -> None:
    assert STATUS_TO_EXPECTED.keys() == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(("status", "expected"), STATUS_TO_EXPECTED.items())
def test_every_status_arrives_as_one_of_our_errors(
    scripted: Scripted, status: grpc.StatusCode, expected: type[BertritonError]
) -> None:
    triton, client = scripted
    once = client.with_options(retry=RetryPolicy(max_attempts=1))
    once.classify("It answers first.")
    triton.failures = [status]

    with pytest.raises(BertritonError) as caught:
        once.classify("text", request_id="r1")

    error = caught.value
    assert type(error) is expected
    assert (error.model, error.attempts, error.request_id) == ("imdb", 1, "r1-0")
    assert isinstance(error.__cause__, grpc.RpcError)


@pytest.mark.parametrize("status", STATUS_TO_EXPECTED)
def test_only_what_nobody_took_is_sent_again(scripted: Scripted, status: grpc.StatusCode) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.inferences, triton.failures = 0, [status] * 3

    outcome = client.classify("text", return_exceptions=True)

    if status in RETRIED:
        assert isinstance(outcome, Classification)
        assert triton.inferences == 4
    else:
        assert isinstance(outcome, BertritonError)
        assert triton.inferences == 1


def test_retries_end_with_their_number(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.inferences, triton.failures = 0, [grpc.StatusCode.UNAVAILABLE] * 100
    thrice = client.with_options(retry=RetryPolicy(max_attempts=3, first_contact_attempts=3))

    with pytest.raises(UnavailableError) as caught:
        thrice.classify("text")

    assert caught.value.attempts == triton.inferences == 3


def test_a_refusal_of_a_ready_model_is_overload(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures = [grpc.StatusCode.UNAVAILABLE]

    with pytest.raises(OverloadedError):
        client.with_options(retry=RetryPolicy(max_attempts=1)).classify("text")


def test_a_refusal_of_a_model_that_is_not_ready_says_so(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures, triton.model_is_ready = [grpc.StatusCode.UNAVAILABLE] * 2, False

    with pytest.raises(ModelNotReadyError, match="imdb"):
        client.with_options(retry=RetryPolicy(max_attempts=1)).classify("text")
    assert client.is_ready() is False


def test_readiness_rests_on_an_answer_and_not_on_what_the_server_says_of_itself(scripted: Scripted) -> None:
    triton, client = scripted
    triton.failures, triton.model_is_ready = [grpc.StatusCode.INTERNAL], True

    assert [client.is_ready(), client.is_ready()] == [False, True]
    assert triton.inferences == 2


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("in ensemble 'imdb', Stub process 'imdb_tokenizer_0_0' is not healthy.", ModelNotReadyError),
        ("Stub process 'imdb_bert_0_0' is not healthy.", ModelNotReadyError),
        ("Stub process is what the text was about", ServerFailureError),
        (f"{BROKEN} Name:'/rows/Reshape_2'", ModelNotReadyError),
        (f"{BROKEN} Name:'/rows/If'", ModelNotReadyError),
        (f"{BROKEN} Name:'/texts/If'", ServerFailureError),
    ],
)
def test_what_another_request_or_a_dead_process_did_is_worth_another_try(
    scripted: Scripted, words: str, kind: type[BertritonError]
) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures, triton.words = [grpc.StatusCode.INTERNAL], words

    with pytest.raises(kind, match="tub process") as caught:
        client.with_options(retry=RetryPolicy(max_attempts=1)).classify("text")

    assert caught.value.retryable is (kind is ModelNotReadyError)


def test_a_client_tells_an_address_that_nobody_has(new_client: Callable[..., Client]) -> None:
    with pytest.raises(ConnectionFailedError, match="cannot reach Triton at localhost:1"):
        new_client("localhost:1", "imdb").classify("text", return_exceptions=False)
