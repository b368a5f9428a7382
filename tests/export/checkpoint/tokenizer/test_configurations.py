"""Ids are those of Transformers 4.57, whatever files tell of a tokenizer (golden/record_tokenizers.py)."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bertriton_export.checkpoint import Sources, TokenizerReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint import BertConfig

TESTS = Path(__file__).parents[3]
DATA = TESTS / "data" / "tokenizers"
RECORDED = json.loads((DATA / "configurations.json").read_text("utf-8"))
ANSWERS = json.loads((DATA / "answers.json").read_text("utf-8"))
RANDOM = runpy.run_path(str(TESTS / "golden" / "random_texts.py"))
RANDOM_TEXTS = 2_000
MAX_LENGTH = 64


@pytest.fixture(scope="module")
def random_texts() -> list[str]:
    texts: list[str] = RANDOM["random_texts"](RANDOM_TEXTS)
    return texts


@pytest.fixture(params=sorted(ANSWERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reader(name: str, tmp_path: Path) -> TokenizerReader:
    """The reader of one configuration's folder."""
    configuration = RECORDED["configurations"][name]
    for target, source in configuration["files"].items():
        shutil.copyfile(DATA / source, tmp_path / target)
    for target, document in configuration["documents"].items():
        (tmp_path / f"{target}.json").write_text(json.dumps(document), encoding="utf-8")
    return TokenizerReader(Sources(tmp_path), configuration["model_type"])


@pytest.fixture
def tokenizer(reader: TokenizerReader, name: str, config_of: Callable[[int], BertConfig]) -> Tokenizer:
    return reader.read(config_of(ANSWERS[name]["largest_id"] + 1))


def test_ids_of_texts(tokenizer: Tokenizer, name: str) -> None:
    for text, ids in zip(RECORDED["texts"], ANSWERS[name]["ids"], strict=True):
        assert tokenizer.encode(text).ids == ids, text


def test_ids_and_types_of_a_pair(tokenizer: Tokenizer, reader: TokenizerReader, name: str) -> None:
    encoding = tokenizer.encode(*RECORDED["pair"])
    types = encoding.type_ids if reader.reads_token_types else None

    assert [encoding.ids, types] == ANSWERS[name]["pair"]


def test_ids_of_random_texts_cut_on_the_side_that_the_files_say(
    tokenizer: Tokenizer, reader: TokenizerReader, name: str, random_texts: list[str]
) -> None:
    assert reader.truncation_side == ANSWERS[name]["truncation_side"]
    tokenizer.enable_truncation(MAX_LENGTH, direction=reader.truncation_side)

    found = [encoding.ids for encoding in tokenizer.encode_batch(random_texts)]

    assert RANDOM["digests"](found) == ANSWERS[name]["random"]


def test_the_manifest_says_what_was_read(reader: TokenizerReader, name: str) -> Any:
    kind = ANSWERS[name]["class"].removesuffix("Fast")

    assert reader.facts["tokenizer"].startswith(f"{kind} from ")
    assert reader.facts["tokenizer"].endswith("as Transformers 4.57 reads it")
