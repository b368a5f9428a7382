"""What both clients answer, against a real Triton."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import (
    AsyncClient,
    Classification,
    Client,
    ClientClosedError,
    ConnectionFailedError,
    InvalidOptionError,
    InvalidTextError,
    ModelNotFoundError,
    RequestLimits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_server import LocalServer

GOOD, BAD = "A warm, funny and wonderful film.", "Dull, lifeless and far too long."


def test_a_text_gets_one_classification(client: Client) -> None:
    answer = client.classify(GOOD)

    assert isinstance(answer, Classification)
    assert (answer.label, answer.truncated) == ("pos", False)
    assert answer.score == answer.scores["pos"] > 0.9
    assert sum(answer.scores.values()) == pytest.approx(1)
    assert len(answer.logits) == 2
    assert answer.token_count == 10


def test_a_list_gets_a_list_in_its_order(client: Client) -> None:
    texts = [GOOD, BAD] * 100

    answers = client.classify(texts)

    assert [answer.label for answer in answers] == ["pos", "neg"] * 100


def test_an_empty_list_gets_an_empty_list(client: Client) -> None:
    assert client.classify([]) == []


def test_an_empty_list_needs_no_server(new_client: Callable[..., Client]) -> None:
    assert new_client("localhost:1").classify([]) == []


def test_singles_and_pairs_may_be_mixed(client: Client) -> None:
    answers = client.classify([GOOD, (GOOD, BAD), (BAD, GOOD), BAD])

    assert [answer.token_count for answer in answers] == [10, 19, 19, 10]


@pytest.mark.parametrize("text", ["", "   ", "🎬", "a\0b", "日本語の映画", "סרט טוב", "e\u0301" * 50])
def test_text_of_any_kind_is_answered(client: Client, text: str) -> None:
    assert client.classify(text).label in {"neg", "pos"}


def test_a_long_text_says_that_it_was_truncated(client: Client) -> None:
    answer = client.classify("good " * 1000)

    assert answer.truncated
    assert answer.token_count == 1002


@pytest.mark.parametrize(
    ("text", "index"),
    [(None, 0), (b"bytes", 0), ({"a", "b"}, 0), (["a", None], 1), (["a", "b", "c\ud800"], 2), (("a", 5), 0)],
)
def test_what_is_no_text_is_named_by_its_place(client: Client, text: object, index: int) -> None:
    with pytest.raises(InvalidTextError) as caught:
        client.classify(text)

    assert caught.value.index == index


def test_a_kept_error_stands_in_the_place_of_its_text(client: Client) -> None:
    answers = client.classify([GOOD, None, BAD, "\ud800"], return_exceptions=True)

    assert [answers[0].label, answers[2].label] == ["pos", "neg"]
    assert [type(answers[1]), type(answers[3])] == [InvalidTextError] * 2
    assert [answers[1].index, answers[3].index] == [1, 3]


def test_the_labels_come_from_the_server(client: Client) -> None:
    assert client.labels == ("neg", "pos")


def test_the_model_may_be_named(new_client: Callable[..., Client], imdb_server: LocalServer) -> None:
    client = new_client(imdb_server.grpc_url, "imdb", version=1)

    assert client.classify(GOOD).label == "pos"


@pytest.mark.parametrize("model", ["nowhere", "imdb_bert"])
def test_what_is_no_classifier_is_not_found(client: Client, model: str) -> None:
    with pytest.raises(ModelNotFoundError, match=model) as caught:
        client.classify(GOOD, model=model)

    assert caught.value.model == model
    assert not caught.value.retryable


def test_a_version_that_is_not_served_is_not_found(client: Client) -> None:
    with pytest.raises(ModelNotFoundError):
        client.classify(GOOD, version=7)


def test_the_classifiers_of_a_server_are_listed(client: Client) -> None:
    (served,) = client.models()

    assert (served.name, served.versions, served.ready, served.reason) == ("imdb", ("1",), True, "")
    assert served.info.labels == ("neg", "pos")


def test_a_served_model_is_ready(client: Client) -> None:
    assert client.is_ready() is True


def test_a_dead_address_is_not_ready(new_client: Callable[..., Client]) -> None:
    assert new_client("localhost:1").is_ready() is False


def test_a_dead_address_cannot_be_reached(new_client: Callable[..., Client]) -> None:
    with pytest.raises(ConnectionFailedError, match="cannot reach Triton at localhost:1") as caught:
        new_client("localhost:1").classify(GOOD)

    assert caught.value.retryable
    assert caught.value.attempts > 1


def test_a_closed_client_says_so(client: Client) -> None:
    client.classify(GOOD)
    client.close()

    with pytest.raises(ClientClosedError):
        client.classify(GOOD)


def test_top_k_keeps_the_best_labels(client: Client) -> None:
    answer = client.classify(BAD, top_k=1)

    assert list(answer.scores) == ["neg"]


@pytest.mark.parametrize(
    "option",
    [
        {"top_k": 0},
        {"stride": 2**63},
        {"max_length": 2},
        {"max_length": 513},
        {"truncation": "middle"},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"version": "one"},
    ],
)
def test_an_option_out_of_range_is_refused_by_name(client: Client, option: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(option))):
        client.classify(GOOD, **option)


def test_an_unknown_option_is_a_type_error(client: Client) -> None:
    with pytest.raises(TypeError, match="topk"):
        client.classify(GOOD, topk=1)


@pytest.mark.parametrize("url", ["", "http://localhost:8000", "grpcs://localhost:8001"])
def test_an_address_that_is_none_of_grpcs_is_refused(new_client: Callable[..., Client], url: str) -> None:
    with pytest.raises(InvalidOptionError, match="url"):
        new_client(url)


def test_small_requests_give_the_same_answers(client: Client) -> None:
    texts = [GOOD, BAD, "fine", "no"] * 5
    small = client.with_options(limits=RequestLimits(rows=3, request_bytes=60, in_flight=2))

    whole, pieces = client.classify(texts), small.classify(texts)

    assert [answer.label for answer in whole] == [answer.label for answer in pieces]
    assert [answer.score for answer in whole] == pytest.approx([answer.score for answer in pieces], abs=1e-5)


def test_the_twins_have_the_same_methods_with_the_same_parameters() -> None:
    def surface(cls: type) -> dict[str, Any]:
        renamed = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
        return {
            renamed.get(name, name): list(inspect.signature(member).parameters)
            if inspect.isfunction(member)
            else type(member)
            for name, member in vars(cls).items()
            if not name.startswith("_") or name in {"__enter__", "__exit__", *renamed}
        }

    assert surface(Client) == surface(AsyncClient)
