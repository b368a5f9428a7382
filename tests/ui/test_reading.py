"""What the page shows as read is what the server reads, for every way of cutting."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from bertriton import AsyncClient, Client
from bertriton_ui.questions import Question, answer
from bertriton_ui.reading import Kept, kept_tokens, parts_of

if TYPE_CHECKING:
    from bertriton_server import LocalServer

LONG = " ".join(f"scene {number}: a warm, wonderful, unforgettable film." for number in range(150))
OTHER = " ".join("Somebody says that it was dull and lifeless!" for _ in range(90))


def asked(server: LocalServer, **question: Any) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with AsyncClient(server.grpc_url) as client:
            body = json.dumps({"model": "imdb-minilm", **question}).encode()
            return await answer(client, Question.of(body))

    return asyncio.run(ask())


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
def test_what_is_read_alone_gives_the_same_answer(golden_server: LocalServer, truncation: str) -> None:
    found = asked(golden_server, text=LONG, truncation=truncation)
    (parts,) = found["parts"]
    with Client(golden_server.grpc_url, "imdb-minilm") as client:
        read = client.classify("".join(part["text"] for part in parts if part["is_read"]))
        wholly = client.classify(LONG, truncation=truncation)

    assert LONG == "".join(part["text"] for part in parts)
    assert wholly.logits == tuple(found["logits"])
    assert found["truncated"]
    assert not read.truncated
    # A word of which a part was read counts as unread: few tokens at each border.
    assert found["max_length"] - 8 <= read.token_count <= found["max_length"]
    if read.token_count == found["max_length"]:
        assert read.logits == pytest.approx(found["logits"], abs=1e-4)


def test_of_a_pair_the_longer_text_is_cut_first(golden_server: LocalServer) -> None:
    found = asked(golden_server, text=LONG, second="Was it any good?", truncation="head")

    first, second = found["parts"]
    assert [part["is_read"] for part in first] == [True, False]
    assert second == [{"text": "Was it any good?", "is_read": True}]


def test_both_texts_of_a_pair_may_be_cut(golden_server: LocalServer) -> None:
    found = asked(golden_server, text=LONG, second=OTHER, truncation="tail")

    assert [[False, True], [False, True]] == [[part["is_read"] for part in parts] for parts in found["parts"]]


def test_nothing_is_struck_out_of_what_is_read_whole(golden_server: LocalServer) -> None:
    short = asked(golden_server, text="Great.")
    in_windows = asked(golden_server, text=LONG, truncation="windows")

    assert (short["parts"], short["truncated"]) == ([], False)
    assert in_windows["parts"] == []
    assert in_windows["windows"] > 1


@pytest.mark.parametrize(
    ("counts", "budget", "truncation", "expected"),
    [
        ([700], 510, "head", [Kept(510, 0, 700)]),
        ([700], 510, "tail", [Kept(0, 510, 700)]),
        ([700], 509, "head_tail", [Kept(255, 254, 700)]),
        ([700, 9], 509, "head", [Kept(500, 0, 700), Kept(9, 0, 9)]),
        ([9, 700], 509, "tail", [Kept(0, 9, 9), Kept(0, 500, 700)]),
        ([700, 600], 509, "head", [Kept(255, 0, 700), Kept(254, 0, 600)]),
        ([600, 700], 509, "windows", [Kept(254, 0, 600), Kept(700, 0, 700)]),
    ],
)
def test_what_is_kept_is_what_the_tokenizer_keeps(
    counts: list[int], budget: int, truncation: str, expected: list[Kept]
) -> None:
    assert kept_tokens(counts, budget, truncation) == expected


@pytest.mark.parametrize("text", ["one two  three\nfour five ", "  映画は素晴らしい。 한국 영화", "word"])
@pytest.mark.parametrize("head", range(5))
@pytest.mark.parametrize("tail", range(5))
def test_a_cut_text_is_still_the_text(text: str, head: int, tail: int) -> None:
    """Of a tokenizer that counts characters other than spaces, whose borders can be told."""

    async def count(parts: list[str]) -> list[int]:
        return [sum(not character.isspace() for character in part) for part in parts]

    async def cut() -> Any:
        (whole,) = await count([text])
        return await parts_of(text, Kept(head, tail, whole), count)

    parts = asyncio.run(cut())

    assert text == "".join(part.text for part in parts)
    read = ["".join(part.text.split()) for part in parts if part.is_read]
    assert sum(map(len, read)) <= max(head + tail, 0) or all(part.is_read for part in parts)
