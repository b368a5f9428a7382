"""What becomes of each kind of failure, and what the client remembers of a server that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from bertriton import (
    BertritonError,
    Classification,
    ConnectionFailedError,
    InvalidTextError,
    ModelNotFoundError,
    ModelNotReadyError,
    OverloadedError,
    RetryPolicy,
    ServerFailureError,
    UnavailableError,
    UnexpectedAnswerError,
)
from bertriton._errors import STATUS_TO_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Client

Scripted = Any  # a ScriptedTriton and its client

FAILURES = sorted(set(grpc.StatusCode) - {grpc.StatusCode.OK}, key=lambda status: status.name)
RETRIED = {status for status in FAILURES if issubclass(STATUS_TO_ERROR[status], UnavailableError)}


@pytest.mark.parametrize("status", FAILURES)
def test_every_status_arrives_as_one_of_our_errors(scripted: Scripted, status: grpc.StatusCode) -> None:
    triton, client = scripted
    once = client.with_options(retry=RetryPolicy(max_attempts=1))
    once.classify("It answers first.")
    triton.failures = [status]

    with pytest.raises(STATUS_TO_ERROR[status]) as caught:
        once.classify("text", request_id="r1")

    error = caught.value
    assert (error.model, error.attempts, error.request_id) == ("imdb", 1, "r1-0")
    assert isinstance(error.__cause__, grpc.RpcError)


@pytest.mark.parametrize("status", FAILURES)
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


def test_retried_pieces_of_a_list_give_every_result_once(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures = [grpc.StatusCode.UNAVAILABLE] * 20
    texts = ["x" * length for length in range(1, 200)]

    answers = client.classify(texts)

    assert list(range(1, 200)) == [answer.token_count for answer in answers]


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
    triton.failures, triton.model_is_ready = [grpc.StatusCode.UNAVAILABLE], False

    with pytest.raises(ModelNotReadyError, match="imdb"):
        client.with_options(retry=RetryPolicy(max_attempts=1)).classify("text")
    assert client.is_ready() is False


def test_a_refused_text_is_found_among_its_neighbours(scripted: Scripted) -> None:
    triton, client = scripted
    triton.refused_texts = {b"bad", b"worse"}
    texts = ["good"] * 3 + ["bad"] + ["good"] * 9 + ["worse"] + ["good"]

    answers = client.classify(texts, return_exceptions=True)

    assert [type(answer) for answer in answers] == [
        InvalidTextError if text in {"bad", "worse"} else Classification for text in texts
    ]
    assert [answers[3].index, answers[13].index] == [3, 13]
    with pytest.raises(InvalidTextError) as caught:
        client.classify(texts)
    assert caught.value.index == 3


def test_a_failure_of_the_server_stands_in_the_place_of_its_texts(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures = [grpc.StatusCode.INTERNAL]

    answers = client.classify(["text"] * 12, return_exceptions=True)

    kinds = [type(answer) for answer in answers]
    assert kinds.count(Classification) in {4, 8}
    assert kinds.count(ServerFailureError) == 12 - kinds.count(Classification)


def test_several_classifiers_want_a_name(scripted: Scripted) -> None:
    triton, client = scripted
    triton.classifiers["toxic"] = ("no", "yes")

    with pytest.raises(ModelNotFoundError, match="imdb, toxic"):
        client.classify("text")
    assert client.classify("text", model="toxic").label == "no"
    assert [served.name for served in client.models()] == ["imdb", "toxic"]


def test_a_server_without_classifiers_says_what_to_do(scripted: Scripted) -> None:
    triton, client = scripted
    triton.classifiers.clear()

    with pytest.raises(ModelNotFoundError, match="bertriton export"):
        client.classify("text")


def test_a_classifier_that_is_not_ready_tells_why(scripted: Scripted) -> None:
    triton, client = scripted
    triton.states["imdb"] = "UNAVAILABLE"

    with pytest.raises(ModelNotReadyError, match=r"imdb \(disk full\)"):
        client.classify("text")
    (served,) = client.models()
    assert (served.ready, served.reason, served.info) == (False, "disk full", None)


def test_a_reloaded_model_is_answered_with_its_new_labels(scripted: Scripted) -> None:
    triton, client = scripted
    assert client.classify("text").label == "neg"

    triton.classifiers["imdb"], triton.version = ("bad", "good"), "2"

    assert client.classify("text").label == "bad"
    assert client.labels == ("bad", "good")


def test_a_kept_answer_is_not_that_of_a_new_version(
    scripted: Scripted, new_client: Callable[..., Client]
) -> None:
    triton, _ = scripted
    client = new_client(triton.url, cache_size=10)
    client.classify(["text", "other"])
    triton.classifiers["imdb"], triton.version = ("bad", "good"), "2"

    client.classify("notices the new version")

    assert client.classify("text").label == "bad"


def test_an_answer_against_the_contract_is_an_error_and_forgotten(scripted: Scripted) -> None:
    triton, client = scripted
    triton.answered_columns = 3

    with pytest.raises(UnexpectedAnswerError, match="expected FP32"):
        client.classify("text")

    triton.answered_columns = None
    triton.classifiers["imdb"] = ("a", "b", "c")
    assert client.classify("text").label == "a"


def test_a_client_tells_an_address_that_nobody_has(new_client: Callable[..., Client]) -> None:
    with pytest.raises(ConnectionFailedError, match="cannot reach Triton at localhost:1"):
        new_client("localhost:1", "imdb").classify("text", return_exceptions=False)
