"""Checkpoints that Transformers loads, odd as they are: with its answers, or refused by name."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer

from bertriton_export import CheckpointError, UnsupportedModelError
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2] / "data"
ROWS = Path(__file__).parents[3] / "export" / "bertriton_export" / "repository" / "triton" / "rows.py"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Gives a copy of one of tests/data/architectures/ with keys of a JSON file set; None removes one."""

    def change(name: str, file: str, **changes: Any) -> Path:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(DATA / "architectures" / name, folder)
        document = json.loads((folder / file).read_text("utf-8")) | changes
        kept = {key: value for key, value in document.items() if value is not None}
        (folder / file).write_text(json.dumps(kept), encoding="utf-8")
        return folder

    return change


@pytest.mark.parametrize("names", [["BertForMultiLabelClassification"], ["BertModel"], []])
def test_an_unfamiliar_class_over_a_known_model_type_is_read(
    changed: Callable[..., Path], names: list[str]
) -> None:
    checkpoint = read_checkpoint(changed("bert-single", "config.json", architectures=names))

    assert checkpoint.source["architecture"] == "BertForSequenceClassification"
    assert checkpoint.source.get("architectures in config.json", "") == ", ".join(names)


def test_a_config_without_a_model_type_is_read_by_its_architecture(changed: Callable[..., Path]) -> None:
    folder = changed("electra-single", "config.json", model_type=None)

    assert read_checkpoint(folder).source["architecture"] == "ElectraForSequenceClassification"


def test_a_config_with_neither_is_refused(changed: Callable[..., Path]) -> None:
    folder = changed("bert-single", "config.json", model_type=None, architectures=None)

    with pytest.raises(UnsupportedModelError, match=r"model_type None with architectures \[\]"):
        read_checkpoint(folder)


@pytest.mark.parametrize("task", ["TokenClassification", "QuestionAnswering", "MultipleChoice"])
def test_a_class_for_another_task_is_refused(changed: Callable[..., Path], task: str) -> None:
    folder = changed("bert-single", "config.json", architectures=[f"BertFor{task}"])

    with pytest.raises(UnsupportedModelError, match="is not a classifier of whole texts"):
        read_checkpoint(folder)


def test_a_stray_epsilon_of_a_distilbert_is_not_read(changed: Callable[..., Path]) -> None:
    folder = changed("distilbert-single", "config.json", layer_norm_eps=1e-3)

    assert read_checkpoint(folder).config.layer_norm_eps == 1e-12


@pytest.mark.parametrize("written", ["film\nfilm\n", "\n\nfilm\n"])
def test_doubled_and_blank_lines_of_a_vocabulary_count_as_in_transformers(
    changed: Callable[..., Path], written: str
) -> None:
    """Of a token that stands there twice, the last line is its id; nothing is cut into a blank line."""
    folder = changed("bert-multi", "config.json")
    lines = (folder / "vocab.txt").read_text("utf-8").splitlines()
    rest = "\n".join(lines[5:-4]).replace("\nfilm\n", "\nmovie\n")
    (folder / "vocab.txt").write_text("\n".join(lines[:5]) + f"\n{written}{rest}\n", encoding="utf-8")

    tokenizer = Tokenizer.from_str(read_checkpoint(folder).tokenizer_json)

    assert tokenizer.encode("film").ids[1] == 5 + written.count("\n") - 1
    assert tokenizer.token_to_id(lines[5]) == 5 + written.count("\n")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_max_length": 20}, 20),
        ({"model_max_length": None, "max_len": 20}, 20),
        ({"model_max_length": 10**30}, 64),
        ({"model_max_length": 1e30}, 64),
        ({"model_max_length": None}, 64),
        ({"model_max_length": 30, "max_len": 20}, 30),
    ],
)
def test_the_length_of_texts_in_all_its_forms(
    changed: Callable[..., Path], changes: dict[str, Any], expected: int
) -> None:
    assert read_checkpoint(changed("bert-single", "tokenizer_config.json", **changes)).max_length == expected


def test_a_length_of_null_is_none_and_hides_the_older_key(changed: Callable[..., Path]) -> None:
    folder = changed("bert-single", "tokenizer_config.json")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": null, "max_len": 20}')

    assert read_checkpoint(folder).max_length == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer_class": "PhobertTokenizer"}, "PhobertTokenizer: it looks its subwords up"),
        ({"tokenizer_class": "BertweetTokenizer"}, "BertweetTokenizer: it rewrites tweets"),
        ({"tokenizer_class": "CanineTokenizer"}, "'CanineTokenizer' cannot be served, expected one of Bert"),
        ({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}, "words by 'mecab'"),
        ({"split_special_tokens": True}, "split_special_tokens is set"),
    ],
)
def test_tokenizers_that_cannot_be_served_are_refused_by_name(
    changed: Callable[..., Path], settings: dict[str, Any], message: str
) -> None:
    folder = changed("bert-multi", "tokenizer_config.json", **settings)

    with pytest.raises(UnsupportedModelError, match=message) as caught:
        read_checkpoint(folder)

    assert str(folder / "tokenizer_config.json") in str(caught.value)


def test_a_class_that_config_json_names_is_refused_there(changed: Callable[..., Path]) -> None:
    folder = changed("bert-single", "config.json", tokenizer_class="BertweetTokenizer")

    with pytest.raises(UnsupportedModelError, match=r"config\.json: tokenizer_class BertweetTokenizer"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("side", "expected"), [("left", "tail"), ("right", "head"), (None, "head")])
def test_the_side_that_texts_are_cut_on_is_the_models_default(
    changed: Callable[..., Path], side: str | None, expected: str
) -> None:
    folder = changed("bert-single", "tokenizer_config.json", truncation_side=side)

    assert read_checkpoint(folder).truncation.truncation == expected


def test_a_side_baked_into_tokenizer_json_counts_too(changed: Callable[..., Path]) -> None:
    cut = {"direction": "Left", "max_length": 32, "strategy": "LongestFirst", "stride": 0}
    folder = changed("bert-single", "tokenizer.json", truncation=cut)

    assert read_checkpoint(folder).truncation.truncation == "tail"


def test_a_side_that_is_none_is_refused(changed: Callable[..., Path]) -> None:
    folder = changed("bert-single", "tokenizer_config.json", truncation_side="middle")

    with pytest.raises(CheckpointError, match="truncation_side: expected one of right, left, found 'middle'"):
        read_checkpoint(folder)


def test_a_special_token_without_an_embedding_is_left_out_and_told(changed: Callable[..., Path]) -> None:
    folder = changed("roberta-multi", "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")

    checkpoint = read_checkpoint(folder)

    left_out = "special tokens left out, for which there is no embedding"
    assert checkpoint.source[left_out] == ["<|endoftext|>"]
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    assert tokenizer.token_to_id("<|endoftext|>") is None
    assert tokenizer.num_special_tokens_to_add(is_pair=True) == 0


def test_a_text_without_a_token_is_refused_where_none_is_added(changed: Callable[..., Path]) -> None:
    folder = changed("roberta-multi", "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    rows = runpy.run_path(str(ROWS))
    frame = rows["Frame"](Tokenizer.from_str(read_checkpoint(folder).tokenizer_json), 1, 100)

    assert frame.around([[7, 8]], rows["Options"](64), 1)[0] == [7, 8]
    with pytest.raises(ValueError, match="a row has no token"):
        frame.around([[]], rows["Options"](64), 1)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("4.57.6", True), (None, True), ("5.23.0", False), ("5", False), ("9" * 5000, True), ("5x", True)],
)
def test_token_types_are_those_of_the_version_that_saved_the_model(
    changed: Callable[..., Path], version: str | None, *, expected: bool
) -> None:
    changed("bert-single", "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    folder = changed("bert-single", "config.json", transformers_version=version)

    assert read_checkpoint(folder).config.reads_token_types == expected


@pytest.mark.parametrize("charsmap", ["AAAAAA==", "no base64", 7, "", None])
def test_a_damaged_character_map_of_tokenizer_json_is_refused(
    changed: Callable[..., Path], charsmap: Any
) -> None:
    """The library would panic on a text that the map is followed for."""
    step = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [step]}]}
    folder = changed("xlm-roberta-single", "tokenizer.json", normalizer=normalizer)

    with pytest.raises(CheckpointError, match="the character map of its normaliser is damaged"):
        read_checkpoint(folder)
