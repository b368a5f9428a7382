"""Which classifiers a server holds: asked once, and again when something shows that they have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tritonclient.grpc import service_pb2

from bertriton import (
    ModelNotFoundError,
    ModelNotReadyError,
    RetryPolicy,
    UnexpectedAnswerError,
)
from bertriton._clients.directory import DESCRIPTION_ATTEMPTS, Directory
from bertriton._wire import Call, Run, Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Client
    from bertriton._wire import Flow

Scripted = Any  # a ScriptedTriton and its client


class Asked:
    """Carries flows to their end with a scripted server's own answers, and keeps what it was asked."""

    def __init__(self, triton: Any) -> None:
        self._triton = triton
        self.sender = Sender(RetryPolicy(), "in this very process")
        self.directory = Directory()
        self.methods: list[str] = []
        self.answers: dict[str, Any] = {}  # by method, where they are not the server's

    def outcome(self, flow: Flow[Any]) -> Any:
        run = Run(flow)
        step = run.next()
        while step is not None:
            assert isinstance(step, Call)
            self.methods.append(step.method)
            step = run.next(self._answer(step))
        return run.result

    def _answer(self, step: Call) -> Any:
        if step.method in self.answers:
            return self.answers[step.method]
        return getattr(self._triton, step.method)(step.request, None)

    def find(self, model: str | None = None, version: str = "") -> Any:
        return self.outcome(self.directory.find(self.sender, model, version, 60.0))

    def find_answered(self, fingerprint: str, version: str = "") -> Any:
        return self.outcome(self.directory.find_answered(self.sender, "imdb", version, fingerprint, 60.0))

    def list(self) -> Any:
        return self.outcome(self.directory.list(self.sender, 60.0))


@pytest.fixture
def asked(scripted: Scripted) -> Asked:
    return Asked(scripted[0])


def test_the_only_classifier_is_asked_for_once(asked: Asked) -> None:
    first = asked.find()
    questions = list(asked.methods)

    assert asked.find() is asked.find("imdb") is first
    assert first.labels == ("neg", "pos")
    assert asked.methods == questions == ["RepositoryIndex", "ModelConfig", "ModelConfig"]


def test_a_named_classifier_costs_one_question_a_version(asked: Asked) -> None:
    asked.find("imdb", "1")
    asked.find("imdb", "1")
    asked.find("imdb", "2")

    assert asked.methods == ["ModelConfig", "ModelConfig"]


def test_a_named_model_that_is_no_classifier_is_not_found(asked: Asked) -> None:
    with pytest.raises(ModelNotFoundError, match="'imdb_bert' is served, but is not a classifier") as caught:
        asked.find("imdb_bert")

    assert caught.value.model == "imdb_bert"


def test_an_answer_of_the_model_that_was_asked_about_costs_no_question(asked: Asked) -> None:
    info = asked.find("imdb")

    assert asked.find_answered(info.fingerprint) is asked.find_answered(info.fingerprint) is info
    assert asked.directory.answered_fingerprint("imdb", "") == info.fingerprint
    assert asked.methods == ["ModelConfig"]


def test_an_answer_of_another_model_is_asked_about_once(scripted: Scripted, asked: Asked) -> None:
    asked.find("imdb")
    scripted[0].classifiers["imdb"] = ("bad", "good")
    new = scripted[0].fingerprint

    reloaded = asked.find_answered(new)

    assert reloaded.labels == ("bad", "good")
    assert asked.find_answered(new) is asked.find("imdb") is reloaded
    assert asked.methods == ["ModelConfig", "ModelConfig"]


def test_a_replica_that_answers_with_the_old_model_has_the_old_labels(
    scripted: Scripted, asked: Asked
) -> None:
    info = asked.find("imdb")
    scripted[0].classifiers["imdb"] = ("bad", "good")
    asked.find_answered(scripted[0].fingerprint)

    assert asked.find_answered(info.fingerprint).labels == ("neg", "pos")


def test_an_answer_that_nobody_describes_is_none(asked: Asked) -> None:
    asked.find("imdb")

    with pytest.raises(ModelNotReadyError, match=r"being replaced.*00f1a2b3c4d5e6f7"):
        asked.find_answered("00f1a2b3c4d5e6f7")

    assert asked.methods == ["ModelConfig"] * (1 + DESCRIPTION_ATTEMPTS)
    assert asked.directory.answered_fingerprint("imdb", "") == ""


def test_what_is_forgotten_is_asked_again_and_nothing_else(scripted: Scripted, asked: Asked) -> None:
    scripted[0].classifiers["toxic"] = ("no", "yes")
    kept, info = asked.find("toxic"), asked.find("imdb")
    asked.find_answered(info.fingerprint)

    asked.directory.forget("imdb")

    assert asked.directory.answered_fingerprint("imdb", "") == ""
    assert asked.find("toxic") is kept
    assert asked.find("imdb") is not info


def test_what_is_forgotten_may_be_another_model_by_now(scripted: Scripted, asked: Asked) -> None:
    asked.find()
    scripted[0].classifiers = {"toxic": ("no", "yes")}

    asked.directory.forget("imdb")

    assert asked.find().name == "toxic"


def test_versions_are_listed_by_their_number(asked: Asked) -> None:
    index = service_pb2.RepositoryIndexResponse()
    for version, state in (("10", "READY"), ("9", "READY"), ("11", "LOADING")):
        index.models.add(name="imdb", version=version, state=state)
    asked.answers["RepositoryIndex"] = index

    assert [served.versions for served in asked.list()] == [("9", "10")]


def test_a_model_that_is_not_ready_is_a_classifier_by_its_parts(asked: Asked) -> None:
    index = service_pb2.RepositoryIndexResponse()
    for name in ("imdb", "imdb_tokenizer", "imdb_bert", "other"):
        index.models.add(name=name, state="LOADING")
    asked.answers["RepositoryIndex"] = index

    assert [(served.name, served.ready) for served in asked.list()] == [("imdb", False)]
    assert asked.methods == ["RepositoryIndex"]


def test_one_that_is_not_ready_does_not_count_where_another_is(scripted: Scripted, asked: Asked) -> None:
    scripted[0].classifiers["toxic"] = ("no", "yes")
    scripted[0].states["toxic"] = "LOADING"

    assert asked.find().name == "imdb"
    assert [(served.name, served.ready) for served in asked.list()] == [("imdb", True), ("toxic", False)]


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


def test_an_answer_that_nobody_describes_is_asked_for_again_and_then_an_error(
    scripted: Scripted, new_client: Callable[..., Client]
) -> None:
    triton, _ = scripted
    client = new_client(triton.url, retry=RetryPolicy(max_attempts=4, initial_backoff_s=0.001))
    client.classify("text")
    sent, triton.answered_fingerprint = triton.inferences, "00f1a2b3c4d5e6f7"

    with pytest.raises(ModelNotReadyError, match=r"being replaced.*00f1a2b3c4d5e6f7") as caught:
        client.classify("text")

    assert caught.value.retryable
    assert caught.value.attempts == triton.inferences - sent == 4


def test_a_model_that_is_known_is_not_asked_for_again(scripted: Scripted) -> None:
    triton, client = scripted
    for labels in (("neg", "pos"), ("bad", "good")) * 5:
        triton.classifiers["imdb"] = labels
        assert client.classify("text").label == labels[0]

    assert triton.config_requests <= 4  # to find the only classifier, and one for each model


def test_an_answer_against_the_contract_is_an_error_and_forgotten(scripted: Scripted) -> None:
    triton, client = scripted
    triton.answered_columns = 3

    with pytest.raises(UnexpectedAnswerError, match="expected FP32"):
        client.classify("text")

    triton.answered_columns = None
    triton.classifiers["imdb"] = ("a", "b", "c")
    assert client.classify("text").label == "a"
