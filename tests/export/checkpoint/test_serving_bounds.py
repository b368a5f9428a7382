"""A tokenizer.json that would answer by chance, or hold up the server, is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer

from bertriton_export import CheckpointError, UnsupportedModelError
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data" / "architectures"
# Patterns of tokenizers that are known: GPT-2's, BLOOM's, and one of GPT-4's kind.
KNOWN_PATTERNS = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    r"[^\r\n\p{L}\p{N}]?\p{L}+(?i:'s|'t)?|\p{N}{1,3}|\s*[\r\n]+|\(\)*",
)


@pytest.fixture
def with_part(tmp_path: Path) -> Callable[..., Path]:
    """Gives a copy of a checkpoint with keys of its tokenizer.json, or of the model in it, set."""

    def change(name: str, model: dict[str, Any] | None = None, **parts: Any) -> Path:
        folder = shutil.copytree(DATA / name, tmp_path / name)
        document = json.loads((folder / "tokenizer.json").read_text("utf-8")) | parts
        document["model"] |= model or {}
        (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
        return folder

    return change


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize("dropout", [0.1, 1.0, 1])
def test_merges_that_are_dropped_by_chance_are_refused(
    with_part: Callable[..., Path], dropout: float
) -> None:
    folder = with_part("roberta-single", {"dropout": dropout})

    with pytest.raises(
        UnsupportedModelError, match=rf"tokenizer\.json: model: dropout {dropout} cuts a text"
    ):
        read_checkpoint(folder)


@pytest.mark.parametrize("dropout", [None, 0, 0.0])
def test_no_chance_at_all_is_read(with_part: Callable[..., Path], dropout: float | None) -> None:
    tokenizer = Tokenizer.from_str(
        read_checkpoint(with_part("roberta-single", {"dropout": dropout})).tokenizer_json
    )

    assert tokenizer.encode("a good movie").ids == tokenizer.encode("a good movie").ids


def test_words_without_end_are_refused(with_part: Callable[..., Path]) -> None:
    folder = with_part("bert-single", {"max_input_chars_per_word": 1001})

    with pytest.raises(CheckpointError, match="max_input_chars_per_word: expected at most 1000, found 1001"):
        read_checkpoint(folder)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(?:a|ab){2,}c"])
@pytest.mark.parametrize("place", ["pre_tokenizer", "normalizer"])
def test_a_repeated_group_is_refused(with_part: Callable[..., Path], pattern: str, place: str) -> None:
    """The tokenizers library panics on some text, in a thread of the server."""
    step = {"type": "Replace", "pattern": {"Regex": pattern}, "content": "b"}
    parts = {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [_split(pattern)]},
        "normalizer": {"type": "Sequence", "normalizers": [step]},
    }
    folder = with_part("bert-single", **{place: parts[place]})

    with pytest.raises(UnsupportedModelError, match=r"the regular expression .* repeats a group"):
        read_checkpoint(folder)


@pytest.mark.parametrize("pattern", KNOWN_PATTERNS)
def test_patterns_of_known_tokenizers_are_read(with_part: Callable[..., Path], pattern: str) -> None:
    assert read_checkpoint(with_part("bert-single", pre_tokenizer=_split(pattern))).labels
