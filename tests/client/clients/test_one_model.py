"""What belongs together is said by one model, and none is refused that the server may have replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.client.conftest import fingerprint_of

from bertriton import InvalidOptionError, ModelNotReadyError, RequestLimits
from bertriton._clients.tasks import ranked
from bertriton._types import Classification

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Client

Scripted = Any  # a ScriptedTriton and its client

RERANKER, OTHER_RERANKER = ("relevance",), ("score",)
TOXICITY = ("toxic", "rude", "threat")
PLAIN = ("LABEL_0", "LABEL_1")
INFERENCE, OTHER_INFERENCE = ("contradiction", "entailment"), ("entailment", "not_entailment")
DOCUMENTS = [f"document {number}" for number in range(200)]
ONE_BY_ONE = RequestLimits(in_flight=1)


def _models(found: list[Any]) -> set[str]:
    return {one.fingerprint for one in found}


def test_documents_are_ranked_by_one_model_where_replicas_differ(scripted: Scripted) -> None:
    triton, client = scripted
    triton.replicas = [RERANKER, OTHER_RERANKER]

    for _ in range(5):
        found = client.rerank("query", DOCUMENTS, model="imdb")

        assert sorted(one.index for one in found) == list(range(len(DOCUMENTS)))
        assert len(_models(found)) == 1


def test_no_document_is_ranked_by_a_model_of_several_logits(
    scripted: Scripted, new_client: Callable[..., Client]
) -> None:
    triton, _ = scripted
    triton.replicas = [RERANKER, RERANKER, TOXICITY]  # the first of which describes itself

    found = new_client(triton.url, "imdb", limits=ONE_BY_ONE).rerank("query", DOCUMENTS)

    assert _models(found) == {fingerprint_of(RERANKER)}


def test_a_model_that_is_no_reranker_any_more_is_refused_by_its_first_answer(scripted: Scripted) -> None:
    triton, client = scripted
    triton.classifiers["imdb"] = RERANKER
    client.rerank("query", DOCUMENTS)
    triton.classifiers["imdb"] = TOXICITY

    with pytest.raises(InvalidOptionError, match="rerank: model 'imdb' has 3 logits"):
        client.rerank("query", DOCUMENTS)


@pytest.mark.parametrize("cache_size", [0, 1000])
def test_documents_that_an_older_model_answered_are_asked_for_anew(
    scripted: Scripted, new_client: Callable[..., Client], cache_size: int
) -> None:
    triton, _ = scripted
    client = new_client(triton.url, limits=ONE_BY_ONE, cache_size=cache_size)
    triton.classifiers["imdb"] = RERANKER
    client.rerank("query", DOCUMENTS[:50])

    def replace(_: int) -> None:
        triton.classifiers["imdb"] = OTHER_RERANKER

    found = client.rerank("query", DOCUMENTS, progress=replace)

    assert [one.document for one in found] == DOCUMENTS
    assert _models(found) == _models(client.rerank("query", ["new"]))


def test_documents_that_two_models_answered_are_no_ranking() -> None:
    answers = [
        Classification("a", 0.6, {"a": 0.6}, (0.1,), 5, truncated=False, fingerprint=one)
        for one in ("0" * 16, "1" * 16)
    ]

    with pytest.raises(
        ModelNotReadyError, match="documents were answered by the exports 0000000000000000 and"
    ):
        ranked(["one", "two"], answers)


def test_candidates_are_answered_by_one_model_where_replicas_differ(scripted: Scripted) -> None:
    triton, client = scripted
    triton.replicas = [INFERENCE, OTHER_INFERENCE]

    answers = client.classify(DOCUMENTS, candidate_labels=["war", "peace", "sport"], model="imdb")

    assert len(answers) == len(DOCUMENTS)
    assert _models(answers)


def test_a_model_that_lacked_the_labels_is_asked_about_anew(scripted: Scripted) -> None:
    triton, client = scripted
    triton.classifiers["imdb"] = PLAIN
    with pytest.raises(InvalidOptionError, match="has no label that begins with 'entail'"):
        client.classify("text", candidate_labels=["war", "peace"])
    triton.classifiers["imdb"] = INFERENCE

    assert set(client.classify("text", candidate_labels=["war", "peace"]).scores) == {"war", "peace"}
    asked = triton.config_requests
    client.classify("text", candidate_labels=["war", "peace"])
    assert triton.config_requests == asked


def test_a_model_that_was_no_reranker_is_asked_about_anew(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("text")
    triton.classifiers["imdb"] = RERANKER

    assert len(client.rerank("query", DOCUMENTS)) == len(DOCUMENTS)


def test_a_model_that_read_less_is_asked_about_anew(scripted: Scripted) -> None:
    triton, client = scripted
    triton.max_length = 64
    with pytest.raises(InvalidOptionError, match="reads at most 64 tokens, found 128"):
        client.classify("text", max_length=128)
    triton.max_length, triton.classifiers["imdb"] = 512, ("bad", "good")

    assert client.classify("text", max_length=128).label == "bad"
