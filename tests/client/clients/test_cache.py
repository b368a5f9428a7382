"""Answers for texts that come again: bounded, and never those of another model version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bertriton import Classification, Client, InvalidOptionError
from bertriton._clients.cache import AnswerCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton_server import LocalServer

ANSWER = Classification("pos", 0.9, {"neg": 0.1, "pos": 0.9}, (-1.0, 1.0), 3, truncated=False)


def _texts_through_the_network(url: str) -> int:
    """How many texts the server has classified; it counts an answer some time after it has given it."""
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelStatisticsRequest(name="imdb_bert")
        counts = [-1, 0]
        while counts[-1] != counts[-2]:
            time.sleep(0.1)
            counts.append(int(stub.ModelStatistics(request).model_stats[0].inference_count))
        return counts[-1]


def test_a_text_that_comes_again_is_not_sent_again(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    client = new_client(imdb_server.grpc_url, cache_size=10)
    first = client.classify(["good", "bad", "fine"])
    before = _texts_through_the_network(imdb_server.grpc_url)

    again = client.classify(["fine", "new", "good", "bad"])

    assert again == [first[2], again[1], first[0], first[1]]
    assert _texts_through_the_network(imdb_server.grpc_url) - before == 1


def test_other_options_are_another_answer(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    client = new_client(imdb_server.grpc_url, cache_size=10)
    client.classify("good")
    before = _texts_through_the_network(imdb_server.grpc_url)

    client.classify("good", max_length=16)
    best = client.classify("good", top_k=1)

    assert _texts_through_the_network(imdb_server.grpc_url) - before == 1
    assert len(best.scores) == 1


def test_without_a_size_nothing_is_kept(client: Client, imdb_server: LocalServer) -> None:
    client.classify("good")
    before = _texts_through_the_network(imdb_server.grpc_url)

    client.classify("good")

    assert _texts_through_the_network(imdb_server.grpc_url) - before == 1


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="cache_size"):
        Client(cache_size=-1)


@given(st.lists(st.integers(0, 9)))
def test_the_cache_keeps_the_entries_used_last(keys: list[int]) -> None:
    cache = AnswerCache(3, max_age_s=60)

    for key in keys:
        cache.put(key, ANSWER)

    last_three = list(dict.fromkeys(reversed(keys)))[:3]
    assert [key for key in range(10) if cache.get(key)] == sorted(last_three)
    assert len(cache) <= 3


def test_an_answer_grows_old() -> None:
    cache = AnswerCache(3, max_age_s=0.05)
    cache.put("key", ANSWER)

    assert cache.get("key") is ANSWER
    time.sleep(0.1)
    assert cache.get("key") is None
    assert len(cache) == 0


def test_a_kept_answer_is_not_that_of_a_new_version(
    scripted: tuple[Any, Client], new_client: Callable[..., Client]
) -> None:
    triton, _ = scripted
    client = new_client(triton.url, cache_size=10)
    client.classify(["text", "other"])
    triton.classifiers["imdb"], triton.version = ("bad", "good"), "2"

    client.classify("notices the new version")

    assert client.classify("text").label == "bad"
