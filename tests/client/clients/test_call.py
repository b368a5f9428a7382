"""A list of which a part fails: the others are answered, once each, and the failure stands in its place."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from bertriton import Classification, InvalidTextError, ServerFailureError

Scripted = Any  # a ScriptedTriton and its client


def test_retried_pieces_of_a_list_give_every_result_once(scripted: Scripted) -> None:
    triton, client = scripted
    client.classify("It answers first.")
    triton.failures = [grpc.StatusCode.UNAVAILABLE] * 20
    texts = ["x" * length for length in range(1, 200)]

    answers = client.classify(texts)

    assert list(range(1, 200)) == [answer.token_count for answer in answers]


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
