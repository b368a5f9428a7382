"""Zero-shot classification and reranking through a real Triton, with the figures of their libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import (
    BertritonError,
    ClassifierInfo,
    Client,
    InvalidOptionError,
    InvalidTextError,
    ModelNotReadyError,
    RequestLimits,
)
from bertriton._clients.tasks import Task, ZeroShot
from bertriton._types import Classification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bertriton_server import LocalServer

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent.parent / "data" / "pairs.json").read_text(encoding="utf-8")
)
TOLERANCE = 1e-4
CANDIDATES = ["a comedy", "war", "sport and games"]
TEXT = "a pleasant enough movie"


@pytest.fixture
def pairs_client(new_client: Callable[..., Client], golden_server: LocalServer) -> Client:
    """A client of either kind that asks the model of inference."""
    return new_client(golden_server.grpc_url, "nli")


@pytest.mark.parametrize("model", GOLDEN["zero_shot"])
def test_zero_shot_answers_are_those_of_the_pipeline(pairs_client: Client, model: str) -> None:
    for expected in GOLDEN["zero_shot"][model]:
        answer = pairs_client.classify(expected["text"], model=model, **expected["options"])

        assert list(answer.scores) == expected["labels"], expected
        assert list(answer.scores.values()) == pytest.approx(expected["scores"], abs=TOLERANCE)
        assert (answer.label, answer.score) == (expected["labels"][0], answer.scores[answer.label])


def test_rankings_are_those_of_a_cross_encoder(pairs_client: Client) -> None:
    golden = GOLDEN["rerank"]

    ranking = pairs_client.rerank(golden["query"], golden["documents"], model="reranker")

    assert [one.index for one in ranking] == [one["index"] for one in golden["ranking"]]
    scores = [one["score"] for one in golden["ranking"]]
    assert [one.score for one in ranking] == pytest.approx(scores, abs=TOLERANCE)
    assert [one.document for one in ranking] == [golden["documents"][one.index] for one in ranking]
    best = pairs_client.rerank(golden["query"], golden["documents"], top_k=2, model="reranker")
    assert best == ranking[:2]


def test_a_ranked_document_is_what_classify_says_of_the_pair(pairs_client: Client) -> None:
    (found,) = pairs_client.rerank("a film", ["a dull film"], model="reranker")

    answer = pairs_client.classify(("a film", "a dull film"), model="reranker")
    assert (found.logit, found.token_count) == (answer.logits[0], answer.token_count)
    assert (found.truncated, found.windows, found.fingerprint) == (False, 1, answer.fingerprint)


def test_a_list_is_answered_in_its_order_whatever_a_request_holds(
    new_client: Callable[..., Client], golden_server: LocalServer
) -> None:
    texts = [f"{TEXT} {number}" for number in range(20)]
    options: dict[str, Any] = {"candidate_labels": CANDIDATES, "multi_label": True}
    alone = new_client(golden_server.grpc_url, "nli", limits=RequestLimits(rows=2, in_flight=3))
    together = new_client(golden_server.grpc_url, "nli")
    done: list[int] = []

    answers = alone.classify(texts, progress=done.append, **options)

    expected = together.classify(texts, **options)
    assert [one.to_dict() for one in answers] == [_near(one.to_dict()) for one in expected]
    assert done == sorted(set(done))
    assert done[-1] == 20


def _near(answer: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: pytest.approx(answer[key], abs=TOLERANCE) for key in ("score", "scores", "logits")}
    return {**answer, **numbers}


def test_a_stream_of_texts_is_answered_as_it_comes(pairs_client: Client) -> None:
    texts = [f"{TEXT} {number}" for number in range(30)]
    expected = pairs_client.classify(texts, candidate_labels=CANDIDATES)

    def slowly() -> Iterator[str]:
        yield from texts

    found = list(pairs_client.classify_iter(slowly(), candidate_labels=CANDIDATES))

    assert [_near(one.to_dict()) for one in expected] == [one.to_dict() for one in found]


def test_an_invalid_text_is_told_by_its_own_place(pairs_client: Client) -> None:
    texts: list[Any] = [TEXT, TEXT, 3, TEXT]

    with pytest.raises(InvalidTextError, match="text 2: expected a string") as caught:
        pairs_client.classify(texts, candidate_labels=CANDIDATES)
    assert caught.value.index == 2

    found = pairs_client.classify(texts, candidate_labels=CANDIDATES, return_exceptions=True)
    assert [isinstance(one, BertritonError) for one in found] == [False, False, True, False]
    assert str(found[2]).startswith("text 2: expected a string")


def test_a_text_that_the_server_refuses_is_told_by_its_own_place(pairs_client: Client) -> None:
    texts = [TEXT, "word " * 100, TEXT]

    with pytest.raises(InvalidTextError, match="tokens, at most 64 are read") as caught:
        pairs_client.classify(texts, candidate_labels=CANDIDATES, truncation="error")

    assert caught.value.index == 1


def test_truncated_says_so_and_top_k_keeps_the_best(pairs_client: Client) -> None:
    answer = pairs_client.classify("word " * 100, candidate_labels=CANDIDATES, top_k=1)

    assert answer.truncated
    assert answer.token_count > 100
    assert list(answer.scores) == [answer.label]
    assert len(answer.logits) == len(CANDIDATES)


def test_several_labels_may_hold_where_each_is_by_itself(pairs_client: Client) -> None:
    answers = pairs_client.classify(
        [one["text"] for one in GOLDEN["zero_shot"]["nli"]], candidate_labels=CANDIDATES, multi_label=True
    )

    for answer in answers:
        assert answer.labels == tuple(name for name, score in answer.scores.items() if score >= 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidate_labels": []}, "candidate_labels: expected at least one text"),
        ({"candidate_labels": ["war", " "]}, "candidate_labels: expected at least one text"),
        ({"candidate_labels": ["war", 3]}, "candidate_labels: expected at least one text"),
        (
            {"candidate_labels": "war, peace"},
            "candidate_labels: expected a list of texts, found 'war, peace'",
        ),
        ({"candidate_labels": ["war", "war"]}, "candidate_labels: expected distinct labels"),
        (
            {"candidate_labels": ["war"], "hypothesis_template": "It is about."},
            "hypothesis_template: expected {} where the label goes, found 'It is about.'",
        ),
        ({"hypothesis_template": "It is {}."}, "hypothesis_template: expected candidate_labels with it"),
        ({"multi_label": True}, "multi_label: expected candidate_labels with it"),
        (
            {"candidate_labels": ["war"], "model": "three-labels"},
            "model 'three-labels' has no label that begins with 'entail', found bad, so so, très bien",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_reason(
    pairs_client: Client, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        pairs_client.classify(TEXT, **options)

    assert message in str(caught.value)


def test_rerank_refuses_what_it_cannot_rank(pairs_client: Client) -> None:
    with pytest.raises(InvalidOptionError, match=r"model 'nli' has 3 logits .*expected a model with one"):
        pairs_client.rerank("a film", ["dull"])
    with pytest.raises(InvalidOptionError, match="top_k"):
        pairs_client.rerank("a film", ["dull"], model="reranker", top_k=0)
    with pytest.raises(InvalidTextError, match="documents: expected a list of strings, found str"):
        pairs_client.rerank("a film", "dull", model="reranker")
    with pytest.raises(InvalidTextError, match="query: expected a string, found int"):
        pairs_client.rerank(3, ["dull"], model="reranker")  # type: ignore[arg-type]
    with pytest.raises(InvalidTextError, match="text 1: expected a string") as caught:
        pairs_client.rerank("a film", ["dull", None], model="reranker")  # type: ignore[list-item]
    assert caught.value.index == 1
    with pytest.raises(TypeError, match="unexpected option candidate_labels"):
        pairs_client.rerank("a film", ["dull"], candidate_labels=["war"])  # type: ignore[call-arg]
    assert pairs_client.rerank("a film", [], model="reranker") == []


def test_candidates_that_two_models_answered_are_no_answer() -> None:
    task = ZeroShot(("war", "peace"))
    answers = [
        Classification(
            "a", 0.6, {"a": 0.6, "entailment": 0.4}, (0.1, 0.2), 5, truncated=False, fingerprint=one
        )
        for one in ("0" * 16, "1" * 16)
    ]

    with pytest.raises(ModelNotReadyError, match="answered by the exports 0000000000000000 and 1111"):
        task.answer(answers)


def test_a_plain_text_is_one_row() -> None:
    info = ClassifierInfo("m", ("a",), "regression", 64, 8, "5e0c", "0" * 16)

    assert Task().rows(TEXT) == (TEXT,)
    Task().require(info)
