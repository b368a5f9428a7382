"""Texts come from files of every kind, and their sets have the lengths they are named after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bertriton_bench.errors import TextFileError
from bertriton_bench.texts import SET_NAMES, SHORT_WORDS, default_texts, make_sets, read_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Review

MAX_LENGTH = 128


def count_words(texts: Sequence[str]) -> list[int]:
    """Stands for a tokenizer whose tokens are words between two special ones."""
    return [len(text.split()) + 2 for text in texts]


def test_sets_have_the_lengths_they_are_named_after(reviews: list[Review]) -> None:
    texts = [review.text for review in reviews]

    short, mixed, uniform, long = make_sets(
        texts, SET_NAMES, count_tokens=count_words, max_length=MAX_LENGTH, size=20
    )

    assert [20] * 4 == [len(each.texts) for each in (short, mixed, uniform, long)]
    assert max(short.token_counts) <= SHORT_WORDS[1] + 2
    assert set(mixed.texts) <= set(texts)
    assert max(mixed.token_counts) == MAX_LENGTH
    assert uniform.mean_tokens == pytest.approx(mixed.mean_tokens, rel=0.05)
    assert max(uniform.token_counts) - min(uniform.token_counts) <= 2
    assert set(long.token_counts) == {MAX_LENGTH}


def test_sets_are_the_same_every_time() -> None:
    first, second = (
        make_sets(default_texts(), SET_NAMES, count_tokens=count_words, max_length=MAX_LENGTH) for _ in "ab"
    )

    assert first == second


def test_default_texts_are_as_long_as_reviews_and_vary_as_much() -> None:
    lengths = count_words(default_texts())

    assert 150 < sum(lengths) / len(lengths) < 300
    assert max(lengths) > 10 * min(lengths)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.txt", "Good.\n\nBad.\n"),
        ("texts.csv", "id,text\n1,Good.\n2,\n3,Bad.\n"),
        ("texts.jsonl", '{"text": "Good."}\n{"text": null}\n{"text": "Bad."}\n'),
    ],
)
def test_files_give_their_texts_without_empty_ones(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)

    assert read_texts(tmp_path / name, "text") == ["Good.", "Bad."]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.txt", None, "cannot read"),
        ("texts.docx", "", r"expected one of \.csv"),
        ("texts.csv", "id,review\n1,Good.\n", "no column 'text', only id, review"),
        ("texts.txt", "\n \n", "holds no text"),
    ],
)
def test_file_that_will_not_do_is_named(name: str, content: str | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(TextFileError, match=told):
        read_texts(tmp_path / name, "text")
