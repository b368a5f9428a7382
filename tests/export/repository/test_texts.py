"""What the tokenizer reads of a request, and how much of it at once.

`texts.py` is copied into repositories, where Triton loads it by path.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import bertriton_export

if TYPE_CHECKING:
    from types import ModuleType

FILE = Path(bertriton_export.__file__).parent / "repository" / "triton" / "texts.py"


@pytest.fixture(scope="module")
def texts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("texts", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """One that has a token for each of a few words."""
    made = Tokenizer(models.WordLevel({"a": 1, "b": 2, "c": 3}))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def encoded(*strings: bytes) -> Any:
    return np.frombuffer(b"".join(struct.pack("<I", len(one)) + one for one in strings), np.uint8)


@pytest.mark.parametrize("strings", [[], [b""], [b"a", b"", "\u00e9\0".encode(), b"x" * 70_000]])
def test_strings_are_read_as_they_were_sent(texts: ModuleType, strings: list[bytes]) -> None:
    found = texts.read_strings(encoded(*strings)).reshape(len(strings), 1)

    assert (found.dtype, found.shape) == (np.dtype(object), (len(strings), 1))
    assert found[:, 0].tolist() == strings


def test_strings_that_end_before_their_size_are_an_error(texts: ModuleType) -> None:
    with pytest.raises(ValueError, match="longer than what was sent"):
        texts.read_strings(encoded(b"abc")[:-1])


def test_too_many_strings_are_not_read_and_keep_their_shape(texts: ModuleType) -> None:
    found = texts.read_strings(encoded(*[b""] * (texts.MAX_STRINGS + 1))).reshape([1, texts.MAX_STRINGS + 1])

    assert found.shape == (1, texts.MAX_STRINGS + 1)
    assert found.strides == (0, 0)  # it takes no memory


@pytest.mark.parametrize("count", [2, 4096])
def test_a_shape_that_cannot_be_counted_is_that_of_no_text(texts: ModuleType, count: int) -> None:
    """Triton takes as many strings for whole as 64 bits leave over, and ends where the shape raises."""
    found = texts.read_strings(encoded(*[b""] * count)).reshape([3, 1, (2**64 + count) // 3])

    assert found.shape == (0, 0, 0)


def test_texts_are_encoded_in_calls_of_bounded_size(
    texts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_CALL_CHARACTERS", 10)

    assert list(texts.parts(["x" * 4, "x" * 6, "x", "x" * 30, "", "x" * 10, "x"])) == [
        ["x" * 4, "x" * 6],
        ["x"],
        ["x" * 30],
        ["", "x" * 10],
        ["x"],
    ]


def test_ids_are_those_of_one_call_and_work_is_checked_before_more(
    texts: ModuleType, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_CALL_CHARACTERS", 4)
    checks: list[None] = []

    found = list(texts.token_ids(tokenizer, ["a b", "", "c", "a", "b c a"], lambda: checks.append(None)))

    assert found == [[1, 2], [], [3], [1], [2, 3, 1]]
    assert len(checks) == 2


def test_what_nobody_waits_for_is_not_encoded_to_its_end(
    texts: ModuleType, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "MAX_CALL_CHARACTERS", 1)

    def give_up() -> None:
        raise TimeoutError

    ids = texts.token_ids(tokenizer, ["a", "b", "c"], give_up)

    assert next(ids) == [1]
    with pytest.raises(TimeoutError):
        next(ids)


def test_what_a_refused_request_leaves_is_not_given_to_the_next(texts: ModuleType) -> None:
    shares = texts.shares(iter([[1], [2], [3], [4]]), [2, 0, 2])

    assert next(next(shares)) == [1]  # and then it is refused
    assert list(next(shares)) == []
    assert list(next(shares)) == [[3], [4]]
