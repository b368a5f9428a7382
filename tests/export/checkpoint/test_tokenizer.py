"""Tokens are those of Transformers, whatever the text and however the checkpoint keeps its tokenizer."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from bertriton_export import CheckpointError
from bertriton_export.reading import read_checkpoint

TESTS = Path(__file__).parent.parent.parent
GOLDEN = json.loads((TESTS / "data" / "random-texts.json").read_text("utf-8"))
RANDOM = runpy.run_path(str(TESTS / "golden" / "random_texts.py"))
FOLDERS = [
    TESTS.parent / "checkpoints" / "imdb-minilm",
    *(TESTS / "data" / "checkpoints").iterdir(),
    *(TESTS / "data" / "architectures").iterdir(),
]


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}},
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    strings: list[str] = RANDOM["random_texts"]()
    return strings


@pytest.mark.parametrize("folder", sorted(FOLDERS), ids=lambda folder: folder.name)
def test_tokens_of_random_texts_are_those_of_transformers(folder: Path, texts: list[str]) -> None:
    checkpoint = read_checkpoint(folder)
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)

    found = [encoding.ids for encoding in tokenizer.encode_batch(texts)]

    assert len(found) == RANDOM["COUNT"] == 10_000
    assert GOLDEN[folder.name] == RANDOM["digests"](found)


@pytest.fixture
def copy_of(tmp_path: Path) -> Any:
    """Gives a copy of one of tests/data/architectures/ that a test may change."""
    return lambda name: shutil.copytree(TESTS / "data" / "architectures" / name, tmp_path / name)


def set_setting(folder: Path, **changes: Any) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes))


def ids(folder: Path, text: str) -> list[int]:
    return list(Tokenizer.from_str(read_checkpoint(folder).tokenizer_json).encode(text).ids)


def test_a_damaged_sentencepiece_model_is_refused(copy_of: Any) -> None:
    folder = copy_of("xlm-roberta-single")
    (folder / "tokenizer.json").rename(folder / "sentencepiece.bpe.model")

    with pytest.raises(
        CheckpointError, match=r"sentencepiece\.bpe\.model: not a ModelProto of SentencePiece"
    ):
        read_checkpoint(folder)


def test_a_vocabulary_without_its_merges_is_refused(copy_of: Any) -> None:
    folder = copy_of("roberta-multi")
    (folder / "merges.txt").unlink()

    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor vocab\.json with merges\.txt"):
        read_checkpoint(folder)


def test_merges_that_are_none_are_refused(copy_of: Any) -> None:
    folder = copy_of("roberta-multi")
    (folder / "merges.txt").write_text("#version: 0.2\nnot in the vocabulary at all\n")

    with pytest.raises(CheckpointError, match="the tokenizers library cannot read it"):
        read_checkpoint(folder)


def test_a_special_token_outside_the_vocabulary_is_refused(copy_of: Any) -> None:
    folder = copy_of("roberta-multi")
    set_setting(folder, cls_token="<start>")  # noqa: S106 (a token of text)

    with pytest.raises(CheckpointError, match="cls_token '<start>' is not in the vocabulary"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("bert-single", {"unk_token": "[NOPE]"}), ("xlm-roberta-single", {"unk_id": None})],
)
def test_a_model_of_tokens_without_one_for_the_unknown_is_refused(
    copy_of: Any, name: str, damage: dict[str, Any]
) -> None:
    """It reads what its vocabulary holds, and fails at the first text with another letter."""
    folder = copy_of(name)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    content["model"] |= damage
    (folder / "tokenizer.json").write_text(json.dumps(content))

    with pytest.raises(CheckpointError, match=r"tokenizer.json: the tokenizers library cannot.*(?i:unk)"):
        read_checkpoint(folder)


def test_a_template_that_does_not_describe_its_tokens_is_refused(copy_of: Any, capfd: Any) -> None:
    """The library panics, and says so on the terminal by itself."""
    folder = copy_of("roberta-single")
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**content, "post_processor": TEMPLATE}))

    with pytest.raises(CheckpointError, match=r"post_processor: its template has '<s>', which is none"):
        read_checkpoint(folder)

    assert "panicked" not in capfd.readouterr().err


def test_added_tokens_keep_their_ids(copy_of: Any) -> None:
    folder = copy_of("bert-multi")
    known = len((folder / "vocab.txt").read_text("utf-8").splitlines())
    (folder / "vocab.txt").write_text(
        "\n".join((folder / "vocab.txt").read_text("utf-8").splitlines()[:-1]), "utf-8"
    )
    set_setting(folder, added_tokens_decoder={str(known - 1): {"content": "<movie>", "special": True}})

    assert ids(folder, "a<movie>")[-2] == known - 1

    set_setting(folder, added_tokens_decoder={str(known + 5): {"content": "<movie>"}})
    with pytest.raises(CheckpointError, match="'<movie>' does not get its id"):
        read_checkpoint(folder)


def test_a_file_of_added_tokens_that_holds_no_ids_is_refused(copy_of: Any) -> None:
    folder = copy_of("bert-multi")
    (folder / "added_tokens.json").write_text('{"<movie>": "3"}')

    with pytest.raises(CheckpointError, match=r"added_tokens\.json: expected the id of a token, found '3'"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("tokenizer_class", "is_lowercased"),
    [("BertTokenizer", True), ("BertTokenizerFast", True), (None, True), ("PreTrainedTokenizerFast", False)],
)
def test_silent_settings_overrule_the_file_where_the_class_has_settings(
    copy_of: Any, tokenizer_class: str | None, *, is_lowercased: bool
) -> None:
    """Its tokenizer.json keeps the case; Transformers' BertTokenizer lowercases unless told not to."""
    folder = copy_of("bert-single")
    set_setting(folder, tokenizer_class=tokenizer_class)

    assert (ids(folder, "FILM") == ids(folder, "film")) == is_lowercased


def test_token_types_are_read_where_the_tokenizer_gives_them(copy_of: Any) -> None:
    folder = copy_of("bert-single")
    assert read_checkpoint(folder).config.reads_token_types

    set_setting(folder, model_input_names=["input_ids", "attention_mask"])
    assert not read_checkpoint(folder).config.reads_token_types
    set_setting(folder, model_input_names=None, tokenizer_class="RobertaTokenizer")
    assert not read_checkpoint(folder).config.reads_token_types


@pytest.mark.parametrize(
    ("tokenizer_class", "adds_space"), [("TokenizersBackend", True), ("PreTrainedTokenizerFast", False)]
)
def test_a_space_before_the_text_is_added_as_the_version_does_that_writes_the_class(
    copy_of: Any, tokenizer_class: str, *, adds_space: bool
) -> None:
    """Transformers 5 takes it from tokenizer.json, 4.57 from the settings, where silence is no."""
    folder = copy_of("roberta-regression")
    file = folder / "tokenizer.json"
    document = json.loads(file.read_text("utf-8"))
    document["pre_tokenizer"]["add_prefix_space"] = True
    file.write_text(json.dumps(document))
    set_setting(folder, tokenizer_class=tokenizer_class, add_prefix_space=False)

    assert (ids(folder, "film") == ids(folder, " film")) == adds_space
