"""Requests are byte for byte what Triton reads, and answers are checked before they are believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import deserialize_bytes_tensor

from bertriton import InvalidTextError, ModelNotReadyError, UnexpectedAnswerError, contract
from bertriton._types import Classification
from bertriton._wire import (
    answered_fingerprint,
    best_labels,
    candidate_names,
    classifications,
    classifier_info,
    encoded_text,
    infer_request,
)
from bertriton._wire.protocol import set_queue_timeout
from bertriton.contract import ClassifierInfo

INFO = ClassifierInfo("imdb", ("neg", "pos"), contract.SINGLE_LABEL, 512, 64, "5e0c", "00f1a2b3c4d5e6f7")
WORDS = contract.fingerprint_words(INFO.fingerprint)
LIMIT_BYTES = 10


def _response(**replaced: np.ndarray | None) -> service_pb2.ModelInferResponse:
    arrays: dict[str, np.ndarray | None] = {
        contract.PROBABILITIES: np.array([[0.25, 0.75], [0.5, 0.5]], np.float32),
        contract.LOGITS: np.array([[-1, 1], [0, 0]], np.float32),
        contract.TOKEN_COUNT: np.array([[3], [700]], np.int32),
        contract.TRUNCATED: np.array([[False], [True]]),
        contract.WINDOWS: np.array([[1], [1]], np.int32),
        contract.FINGERPRINT: np.array([WORDS, WORDS], np.int32),
        contract.TOKENIZER_FINGERPRINT: np.array([WORDS, WORDS], np.int32),
        **replaced,
    }
    types = {np.dtype(np.float32): "FP32", np.dtype(np.int32): "INT32", np.dtype(bool): "BOOL"}
    response = service_pb2.ModelInferResponse(model_name="imdb", model_version="1")
    for name, array in arrays.items():
        if array is not None:
            response.outputs.add(name=name, datatype=types.get(array.dtype, "FP64"), shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
    return response


def test_a_request_is_one_bytes_tensor_of_all_rows() -> None:
    request = infer_request("imdb", "2", [(b"good",), (b"",)], "r1", truncation="tail", max_length=128)

    assert (request.model_name, request.model_version, request.id) == ("imdb", "2", "r1")
    assert [(t.name, t.datatype, list(t.shape)) for t in request.inputs] == [("text", "BYTES", [2, 1])]
    assert list(request.raw_input_contents) == [b"\x04\x00\x00\x00good\x00\x00\x00\x00"]
    assert request.parameters["truncation"].string_param == "tail"
    assert request.parameters["max_length"].int64_param == 128
    assert {output.name for output in request.outputs} == {
        "probabilities",
        "logits",
        "token_count",
        "truncated",
        "windows",
        "fingerprint",
        "tokenizer_fingerprint",
    }


def test_a_pair_is_a_row_of_two_and_reads_back_by_tritonclient() -> None:
    request = infer_request("imdb", "", [("é\0".encode(), b"b"), (b"c", "日本".encode())], "r1")

    assert list(request.inputs[0].shape) == [2, 2]
    read_back = deserialize_bytes_tensor(request.raw_input_contents[0])
    assert list(read_back) == ["é\0".encode(), b"b", b"c", "日本".encode()]
    assert not request.parameters


def test_the_queue_timeout_is_in_microseconds() -> None:
    request = infer_request("imdb", "", [(b"a",)], "r1")

    set_queue_timeout(request, 1.5)

    assert request.parameters["timeout"].int64_param == 1_500_000


@pytest.mark.parametrize("text", ["", "   ", "🎬", "a\0b", "日本語", "שלום"])
def test_any_unicode_text_is_encoded_as_it_is(text: str) -> None:
    assert encoded_text(text, 0, 100) == (text.encode(),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "found nothing"),
        (b"bytes", "found bytes"),
        (3.5, "found float"),
        (("a", None), "found nothing"),
        (("a", "b", "c"), "a tuple of 3"),
        ((), "a tuple of 0"),
        ("ab\udcff", "lone surrogate is not UTF-8 (character 2"),
        ("x" * (LIMIT_BYTES + 1), "over the limit of 10"),
        (("x" * LIMIT_BYTES, "y"), "over the limit of 10"),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(text: object, problem: str) -> None:
    with pytest.raises(InvalidTextError) as caught:
        encoded_text(text, 4, LIMIT_BYTES)

    assert caught.value.index == 4
    assert str(caught.value).startswith("text 4: ")
    assert problem in str(caught.value)


def test_an_answer_becomes_one_classification_per_row() -> None:
    first, second = classifications(_response(), INFO, 2)

    assert first == Classification(
        "pos",
        0.75,
        {"neg": 0.25, "pos": 0.75},
        (-1.0, 1.0),
        3,
        truncated=False,
        labels=("pos",),
        fingerprint=INFO.fingerprint,
    )
    assert (second.label, second.labels, second.logits) == ("neg", ("neg",), (0.0, 0.0))
    assert (second.token_count, second.truncated) == (700, True)


def test_an_answer_tells_the_export_that_made_it() -> None:
    assert answered_fingerprint(_response(), 2) == INFO.fingerprint


@pytest.mark.parametrize("output", [contract.FINGERPRINT, contract.TOKENIZER_FINGERPRINT])
@pytest.mark.parametrize("rows", [[0], [1], [0, 1]], ids=["first row", "last row", "both"])
def test_an_answer_that_parts_of_two_exports_made_is_none(output: str, rows: list[int]) -> None:
    words = np.array([WORDS, WORDS], np.int32)
    words[rows, 1] ^= 1

    with pytest.raises(ModelNotReadyError, match="is being replaced") as caught:
        answered_fingerprint(_response(**{output: words}), 2)

    assert INFO.fingerprint in str(caught.value)


@pytest.mark.parametrize(
    "damaged", [None, np.zeros((2, 1), np.int32), np.zeros((1, 2), np.int32), np.zeros((2, 2), np.float32)]
)
def test_an_answer_without_a_whole_fingerprint_is_not_believed(damaged: np.ndarray | None) -> None:
    with pytest.raises(UnexpectedAnswerError, match="output 'fingerprint'"):
        answered_fingerprint(_response(fingerprint=damaged), 2)


@given(st.binary(min_size=contract.FINGERPRINT_BYTES, max_size=contract.FINGERPRINT_BYTES))
def test_a_fingerprint_passes_through_two_int32_unchanged(value: bytes) -> None:
    words = np.array([contract.fingerprint_words(value.hex())], np.int32)

    assert contract.fingerprint_of(words[0].tolist()) == value.hex()


def test_labels_of_a_multi_label_model_are_those_at_or_over_its_threshold() -> None:
    info = replace(INFO, problem_type=contract.MULTI_LABEL, threshold=0.3)
    response = _response(probabilities=np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))

    first, second = classifications(response, info, 2)

    assert first.labels == ("pos",)
    assert second.labels == ("neg", "pos")
    assert first.value is None
    assert repr(second) == "Classification(labels=('neg', 'pos'), token_count=700, truncated)"


def test_a_regression_with_one_output_has_a_value_and_no_labels() -> None:
    info = replace(INFO, labels=("stars",), problem_type=contract.REGRESSION)
    column = np.array([[4.5], [-1.25]], np.float32)

    answers = classifications(_response(probabilities=column, logits=column), info, 2)

    assert [answer.value for answer in answers] == [4.5, -1.25]
    assert answers[0].labels == ()
    assert repr(answers[0]) == "Classification(value=4.5000, token_count=3)"
    assert answers[0].scores == {"stars": 4.5}


@pytest.mark.parametrize(
    ("replaced", "problem"),
    [
        ({contract.LOGITS: None}, "output 'logits' is missing"),
        ({contract.LOGITS: np.zeros((2, 3), np.float32)}, "expected FP32 (2, 2), found FP32 (2, 3)"),
        ({contract.LOGITS: np.zeros((1, 2), np.float32)}, "expected FP32 (2, 2), found FP32 (1, 2)"),
        ({contract.TOKEN_COUNT: np.zeros((2, 1), np.float32)}, "expected INT32 (2, 1), found FP32 (2, 1)"),
    ],
)
def test_an_answer_against_the_contract_is_not_believed(
    replaced: dict[str, np.ndarray | None], problem: str
) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        classifications(_response(**replaced), INFO, 2)

    assert problem in str(caught.value)
    assert caught.value.model == "imdb"


def test_an_answer_whose_bytes_do_not_fill_its_shape_is_not_believed() -> None:
    response = _response()
    response.raw_output_contents[0] = b"\0" * 4

    with pytest.raises(UnexpectedAnswerError, match="4 bytes are not FP32"):
        classifications(response, INFO, 2)


def test_the_best_labels_come_first() -> None:
    scores = {"a": 0.1, "b": 0.6, "c": 0.3}
    answer = Classification("b", 0.6, scores, (0.0, 1.0, 0.5), 3, truncated=False)

    assert list(best_labels(answer, 2).scores.items()) == [("b", 0.6), ("c", 0.3)]


def test_a_classifier_is_known_by_its_config() -> None:
    response = service_pb2.ModelConfigResponse()
    response.config.name, response.config.max_batch_size = "imdb", 64
    for key, value in INFO.to_parameters().items():
        response.config.parameters[key].string_value = value

    assert classifier_info(response) == INFO


def test_another_model_is_no_classifier() -> None:
    assert classifier_info(service_pb2.ModelConfigResponse()) is None


@pytest.mark.parametrize("version", ["1", "999"])
def test_a_classifier_of_another_contract_is_refused_with_what_to_do(version: str) -> None:
    response = service_pb2.ModelConfigResponse()
    response.config.name = "imdb"
    response.config.parameters["bertriton.contract"].string_value = version

    with pytest.raises(UnexpectedAnswerError, match=f"follows contract {version}.*export the model again"):
        classifier_info(response)


@pytest.mark.parametrize("damaged", [None, "", "5e0c", "00f1a2b3c4d5e6f7\n", "00F1A2B3C4D5E6F7"])
def test_a_classifier_without_a_fingerprint_is_refused(damaged: str | None) -> None:
    parameters = INFO.to_parameters()
    del parameters["bertriton.fingerprint"]
    if damaged is not None:
        parameters["bertriton.fingerprint"] = damaged

    with pytest.raises(contract.ContractError, match="fingerprint"):
        ClassifierInfo.from_parameters("imdb", 64, parameters)


@pytest.mark.parametrize(
    ("models", "candidates"),
    [
        ("imdb_bert imdb imdb_tokenizer other", "imdb other"),
        ("x x_bert x_bert_tokenizer x_bert_bert", "x x_bert"),
        ("x x_tokenizer x_bert x_bert_tokenizer x_bert_bert", "x x_bert"),
        ("x_tokenizer y_bert", "x_tokenizer y_bert"),
    ],
)
def test_only_the_parts_of_a_classifier_are_no_candidates(models: str, candidates: str) -> None:
    index = service_pb2.RepositoryIndexResponse()
    for name in models.split():
        index.models.add(name=name)

    assert candidate_names(index) == candidates.split()


def test_a_row_that_the_network_did_not_get_is_worth_another_try() -> None:
    scores = np.array([[0.25, 0.75], [np.nan, np.nan]], np.float32)

    with pytest.raises(ModelNotReadyError, match="row 1 is NaN, for the network did not get") as caught:
        classifications(_response(probabilities=scores), INFO, 2)

    assert caught.value.retryable
