"""Texts are cut as the real Spark NLP cut them: tests/golden/record_sparknlp.py has asked it."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from bertriton import contract
from bertriton_export import OptionError, UnsupportedModelError, export
from bertriton_export.checkpoint import Checkpoint, with_tokenization
from bertriton_export.reading import read_checkpoint

TESTS = Path(__file__).parent.parent.parent
GOLDEN = TESTS / "golden"
ANSWERS = TESTS / "data" / "sparknlp"
VERSIONS = ("3.4.4", "5.5.3")
EMBEDDED = TESTS.parent / "checkpoints" / "imdb-minilm"
TINY = TESTS / "data" / "checkpoints"
FAMILIES = TESTS / "data" / "architectures"
LOWERCASE = {"cased": False, "uncased": True}


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """The texts that Spark NLP was asked."""
    return runpy.run_path(str(GOLDEN / "sparknlp_texts.py"))


@pytest.fixture(scope="module")
def embedded() -> Checkpoint:
    return read_checkpoint(EMBEDDED)


def tokenizer_of(checkpoint: Checkpoint, *, lowercase: bool) -> Tokenizer:
    """Spark NLP's way, of a checkpoint that is said to be cased or not."""
    document = json.loads(checkpoint.tokenizer_json)
    document["normalizer"]["lowercase"] = lowercase
    changed = replace(checkpoint, tokenizer_json=json.dumps(document))
    return Tokenizer.from_str(with_tokenization(changed, "sparknlp").tokenizer_json)


def golden(version: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ANSWERS / f"answers-{version}.json").read_text("utf-8"))
    return document


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", LOWERCASE)
def test_pieces_are_those_of_the_real_one(
    embedded: Checkpoint, asked: dict[str, Any], version: str, case: str
) -> None:
    tokenizer = tokenizer_of(embedded, lowercase=LOWERCASE[case])
    expected = golden(version)[case]["edges"]

    found = [tokenizer.encode(text, add_special_tokens=False).tokens for text in asked["EDGES"]]

    assert dict(zip(asked["EDGES"], expected, strict=True)) == dict(zip(asked["EDGES"], found, strict=True))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", LOWERCASE)
def test_reviews_and_random_texts_have_the_ids_of_the_real_one(
    embedded: Checkpoint, asked: dict[str, Any], version: str, case: str
) -> None:
    random = runpy.run_path(str(GOLDEN / "random_texts.py"))
    tokenizer = tokenizer_of(embedded, lowercase=LOWERCASE[case])
    texts = [*asked["reviews"](), *random["random_texts"](asked["RANDOM_COUNT"], asked["SEED"])]

    found = tokenizer.encode_batch(texts, add_special_tokens=False)

    assert random["digests"]([one.ids for one in found]) == golden(version)[case]["digests"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I didn't like it", ["i", "didn", "like", "it"]),
        ("well-made!!!", ["well", "!"]),
        ("film<br />The end", ["film", "/", "end"]),
        ("[SEP] naïve", ["[", "naive"]),
    ],
)
def test_of_every_word_the_first_piece_is_kept(embedded: Checkpoint, text: str, kept: list[str]) -> None:
    tokenizer = tokenizer_of(embedded, lowercase=True)

    assert tokenizer.encode(text).tokens == ["[CLS]", *kept, "[SEP]"]


def test_hugging_faces_way_is_the_default(embedded: Checkpoint) -> None:
    assert with_tokenization(embedded) is with_tokenization(embedded, "huggingface") is embedded
    assert embedded.tokenization == "huggingface"


def test_the_export_tells_which_way_it_is(tmp_path: Path) -> None:
    plain = export(TINY / "one-layer", name="plain", repository=tmp_path, precision="fp32").classifier
    info = export(
        TINY / "one-layer", name="a", repository=tmp_path, precision="fp32", tokenization="sparknlp"
    ).classifier

    assert (plain.tokenization, info.tokenization) == ("huggingface", "sparknlp")
    assert plain.fingerprint != info.fingerprint
    assert contract.ClassifierInfo.from_parameters("a", 64, info.to_parameters()) == info
    manifest = json.loads((tmp_path / "a" / "1" / "manifest.json").read_text("utf-8"))
    assert manifest["classifier"]["tokenization"] == "sparknlp"
    assert 'key: "bertriton.tokenization"' in (tmp_path / "a" / "config.pbtxt").read_text("utf-8")
    assert "| tokenization | `sparknlp` |" in (tmp_path / "a" / "MODEL_CARD.md").read_text("utf-8")


def test_an_export_of_before_is_hugging_faces_way(tmp_path: Path) -> None:
    info = export(TINY / "one-layer", name="a", repository=tmp_path, precision="fp32").classifier

    older = {key: value for key, value in info.to_parameters().items() if not key.endswith("tokenization")}

    assert contract.ClassifierInfo.from_parameters("a", 64, older) == info


@pytest.mark.parametrize("family", ["distilbert", "electra", "roberta", "xlm-roberta", "deberta-v2"])
def test_families_for_which_it_is_not_reproduced_are_refused_by_name(family: str) -> None:
    checkpoint = read_checkpoint(FAMILIES / f"{family}-single")

    with pytest.raises(
        UnsupportedModelError,
        match=f"{family}-single: tokenization sparknlp is not .* {family}, only for bert",
    ):
        with_tokenization(checkpoint, "sparknlp")


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("normalizer", {"type": "NFC"}, "found WordPiece behind NFC"),
        ("normalizer", None, "found WordPiece behind no normalizer"),
        ("model", {"type": "WordPiece", "vocab": {"[UNK]": 1}}, "looks for [CLS], [SEP] in the vocabulary"),
    ],
)
def test_other_tokenizers_of_bert_are_refused(
    embedded: Checkpoint, part: str, value: object, message: str
) -> None:
    document = json.loads(embedded.tokenizer_json) | {part: value}

    with pytest.raises(UnsupportedModelError, match=re.escape(message)):
        with_tokenization(replace(embedded, tokenizer_json=json.dumps(document)), "sparknlp")


def test_a_way_that_does_not_exist_is_refused(embedded: Checkpoint) -> None:
    with pytest.raises(OptionError, match="tokenization 'spacy': expected one of huggingface, sparknlp"):
        with_tokenization(embedded, "spacy")
