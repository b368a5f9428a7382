"""Numbers, flags and texts of a checkpoint's JSON files are checked for kind and range."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from bertriton_export import CheckpointError, ExportError
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

NESTED = 100_000
UNWRITABLE = "half of \ud83d"


def change(file: Path, **changes: Any) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(document | changes), encoding="utf-8")


NO_SIZES = [True, -1, 0, 1.5, 32.0, "32", None, [], {}, float("nan"), float("inf"), 2**31, 10**300]


@pytest.mark.parametrize("value", NO_SIZES)
@pytest.mark.parametrize(
    "key",
    [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
    ],
)
def test_sizes_are_whole_numbers_in_range(one_layer: Path, key: str, value: Any) -> None:
    change(one_layer / "config.json", **{key: value})

    with pytest.raises(CheckpointError, match=rf"config\.json: {key}: expected a whole number from 1 to"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), 0, -1e-12, True, "1e-12", None, [], {}, 1, 1e-50, 10**400]
)
def test_epsilons_are_small_positive_numbers(one_layer: Path, value: Any) -> None:
    change(one_layer / "config.json", layer_norm_eps=value)

    with pytest.raises(CheckpointError, match=r"config\.json: layer_norm_eps: expected a number from 1e-38"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize("value", [1e-12, 1e-5, 1e-3])
def test_usual_epsilons_are_taken(one_layer: Path, value: float) -> None:
    change(one_layer / "config.json", layer_norm_eps=value)

    assert value == read_checkpoint(one_layer).config.layer_norm_eps


@pytest.mark.parametrize("value", [None, float("inf"), int(1e30), 1e30, 10**9])
def test_no_or_a_very_large_limit_is_that_of_the_model(one_layer: Path, value: Any) -> None:
    expected = read_checkpoint(one_layer).config.longest_text
    change(one_layer / "tokenizer_config.json", model_max_length=value)

    assert expected == read_checkpoint(one_layer).max_length


@pytest.mark.parametrize("value", [16, 16.0, 3])
def test_lower_limits_are_taken(one_layer: Path, value: float) -> None:
    change(one_layer / "tokenizer_config.json", model_max_length=value)

    found = read_checkpoint(one_layer).max_length

    assert (int, value) == (type(found), found)


@pytest.mark.parametrize(
    "value", [{}, [], "128", True, 0, -1, -float("inf"), float("nan"), 12.5, 0.5, 1, 2, 2.0]
)
def test_limits_that_leave_no_token_of_a_text_are_refused(one_layer: Path, value: Any) -> None:
    change(one_layer / "tokenizer_config.json", model_max_length=value)

    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: model_max_length: expected"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize("value", [True, -1, 1.0, "1", None, 2**40, {}])
def test_padding_that_positions_are_counted_from_is_an_id(architectures: Path, value: Any) -> None:
    folder = architectures / "roberta-single"
    change(folder / "config.json", pad_token_id=value)

    with pytest.raises(CheckpointError, match=r"config\.json: pad_token_id"):
        read_checkpoint(folder)


def test_padding_beyond_vocabulary_and_positions_is_refused(architectures: Path) -> None:
    folder = architectures / "roberta-single"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(folder / "config.json", pad_token_id=config["vocab_size"])
    with pytest.raises(CheckpointError, match=r"pad_token_id .* is not below vocab_size"):
        read_checkpoint(folder)

    change(folder / "config.json", pad_token_id=config["max_position_embeddings"] - 3)
    with pytest.raises(CheckpointError, match=r"config\.json: positions for texts: expected at least 3"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architectures", 7),
        ("architectures", "BertForSequenceClassification"),
        ("architectures", [["BertForSequenceClassification"]]),
        ("model_type", ["bert"]),
        ("hidden_act", ["gelu"]),
        ("hidden_act", {}),
        ("position_embedding_type", 1),
        ("is_decoder", "no"),
        ("problem_type", ["single_label_classification"]),
        ("problem_type", {}),
        ("id2label", ["a", "b"]),
        ("id2label", {"0": None, "1": "b"}),
        ("id2label", {"0": ["a"], "1": "b"}),
        ("id2label", {"0": UNWRITABLE, "1": "b"}),
        ("id2label", "ab"),
    ],
)
def test_values_of_a_wrong_kind_are_named(one_layer: Path, key: str, value: Any) -> None:
    change(one_layer / "config.json", **{key: value})

    with pytest.raises(CheckpointError, match=rf"config\.json: {key}.*: expected .*, found"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_lower_case", "yes"),
        ("do_lower_case", None),
        ("strip_accents", 1),
        ("tokenize_chinese_chars", []),
        ("tokenizer_class", 5),
        ("model_input_names", 5),
        ("model_input_names", "token_type_ids"),
        ("unk_token", 5),
        ("unk_token", {"content": 5}),
        ("unk_token", {"content": "[UNK]", "lstrip": "no"}),
        ("unk_token", UNWRITABLE),
        ("added_tokens_decoder", []),
        ("added_tokens_decoder", {"x": "[NEW]"}),
        ("added_tokens_decoder", {"7": None}),
        ("added_tokens_decoder", {"07": "[NEW]"}),
    ],
)
def test_tokenizer_settings_of_a_wrong_kind_are_named(cased: Path, key: str, value: Any) -> None:
    change(cased / "tokenizer_config.json", **{key: value})

    with pytest.raises(CheckpointError, match=rf"{key}.*: expected .*, found"):
        read_checkpoint(cased)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * NESTED, "nested too deep"),
        (b'{"a":' * NESTED, "nested too deep"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        (b'\xef\xbb\xbf{"a": 1}', "not readable as JSON: .*BOM"),
        ('{"a": 1}'.encode("utf-16"), "not readable as JSON"),
        (b"[1]", "expected a JSON object, found list"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not readable as JSON"),
        (b"", "not readable as JSON"),
    ],
)
def test_files_that_are_no_json_object_are_named(
    one_layer: Path, name: str, content: bytes, message: str
) -> None:
    (one_layer / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=rf"/{name}: .*{message}"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": []},
        {"pre_tokenizer": "ByteLevel"},
        {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 10**6], "cls": ["[CLS]", 2]}},
        {"model": {"type": "Unigram", "vocab": []}},
        {"model": {"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]"}},
        {"added_tokens": [{"id": -1}]},
    ],
)
def test_tokenizers_that_cannot_work_are_refused(one_layer: Path, changes: dict[str, Any]) -> None:
    change(one_layer / "tokenizer.json", **changes)

    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_checkpoint(one_layer)


def test_two_tokens_of_one_id_are_refused(one_layer: Path) -> None:
    model = json.loads((one_layer / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    first, second, *_ = model["vocab"]
    model["vocab"][second] = model["vocab"][first]
    change(one_layer / "tokenizer.json", model=model)

    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: two tokens of its vocabulary have the same id"
    ):
        read_checkpoint(one_layer)


def template(single: str, pair: str, ids: tuple[int, ...] = (3,), kind: int = 0) -> dict[str, Any]:
    """A post-processor that puts texts A and B, and the special token S, in this order."""

    def piece(name: str) -> dict[str, Any]:
        return {"SpecialToken" if name == "S" else "Sequence": {"id": name, "type_id": kind}}

    special = {"S": {"id": "S", "ids": list(ids), "tokens": ["S"] * len(ids)}}
    lists = {"single": [*map(piece, single)], "pair": [*map(piece, pair)]}
    return {"type": "TemplateProcessing", "special_tokens": special, **lists}


def test_the_template_of_these_tests_is_a_good_one(one_layer: Path) -> None:
    change(one_layer / "tokenizer.json", post_processor=template("SAS", "SASBS"))

    assert "TemplateProcessing" in read_checkpoint(one_layer).tokenizer_json


@pytest.mark.parametrize(
    ("post_processor", "message"),
    [
        (template("SAA", "AB"), r"each text of a row once and in order, .* \[0\], found \[None, 0\]"),
        (template("SA", "SA"), r"each text of a row once and in order, .* \[0, 1\], found \[0\]"),
        (template("SA", "BSA"), r"each text of a row once and in order, .* \[0, 1\], found \[1, 0\]"),
        (template("SA", "AB", ids=(10**6,)), "token ids go up to 1000000"),  # in single texts alone
        (template("SA", "AB", kind=7), "token types go up to 7, but the model has 2 kinds"),
    ],
)
def test_special_tokens_that_the_server_could_not_place_are_refused(
    one_layer: Path, post_processor: dict[str, Any], message: str
) -> None:
    change(one_layer / "tokenizer.json", post_processor=post_processor)

    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*{message}"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize("parts", [1, 4])
def test_normalizers_that_swell_texts_are_refused(one_layer: Path, parts: int) -> None:
    """Four of 1000 characters each ended the process, for the library takes the memory of a letter's."""
    swelling = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    change(one_layer / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [swelling] * parts})

    with pytest.raises(CheckpointError, match=rf"normalizer: makes {1000**parts} characters of one"):
        read_checkpoint(one_layer)


def test_normalizers_that_put_a_character_for_another_are_taken(one_layer: Path) -> None:
    one = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}
    change(one_layer / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [one] * 3})

    assert read_checkpoint(one_layer).max_length


@pytest.mark.parametrize(
    "label", ["a\0b", "\x1b[31mred", "a\tb", "a\x7fb", "x" * 1001, "a\rb", "", " \u2003"], ids=repr
)
def test_labels_that_no_page_or_column_can_hold_are_refused_in_few_words(one_layer: Path, label: str) -> None:
    change(one_layer / "config.json", id2label={"0": label, "1": "good"})

    with pytest.raises(CheckpointError, match=r"labels must be distinct, non-empty lines") as caught:
        read_checkpoint(one_layer)

    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("label", ["so so", "très bien", "👩\u200d🔬", "a,b", "NaN", "x" * 1000])
def test_other_labels_are_taken_as_they_are(one_layer: Path, label: str) -> None:
    change(one_layer / "config.json", id2label={"0": label, "1": "good"})

    assert read_checkpoint(one_layer).labels == (label, "good")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_labels_of_absurd_numbers_are_refused(one_layer: Path, number: float) -> None:
    change(one_layer / "config.json", id2label={"0": number, "1": "good"})

    with pytest.raises(CheckpointError, match=r"id2label 0: expected a text, found"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize("keys", [("0", "2"), ("1", "2"), ("00", "1"), ("0", " 1"), ("0", "\u0661")])
def test_label_maps_with_gaps_and_odd_keys_are_refused(one_layer: Path, keys: tuple[str, str]) -> None:
    change(one_layer / "config.json", id2label=dict(zip(keys, "ab", strict=True)))

    with pytest.raises(CheckpointError, match=r"id2label: expected the keys 0 to 1"):
        read_checkpoint(one_layer)


def test_padding_of_any_length_costs_nothing(one_layer: Path) -> None:
    """A text padded to 2**45 tokens would end the process: the library takes the memory at once."""
    expected = read_checkpoint(one_layer).tokenizer_json
    padding = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
    padding |= {"strategy": {"Fixed": 2**45}, "pad_token": "[PAD]"}
    change(one_layer / "tokenizer.json", padding=padding)

    assert expected == read_checkpoint(one_layer).tokenizer_json


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 100_000, "", ".", "..", "a/b", "/etc/passwd", "a\0b", UNWRITABLE, 7, None, []]
)
def test_shards_with_absurd_names_are_refused(cased: Path, name: Any) -> None:
    index = {"weight_map": {"bert.pooler.dense.bias": name}}
    (cased / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")

    with pytest.raises(CheckpointError, match=r"names a shard .* that is not a file of the folder") as caught:
        read_checkpoint(cased)

    assert len(str(caught.value)) < 600


def test_path_too_long_for_the_file_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be looked at: File name too long"):
        read_checkpoint(tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
def test_what_is_no_file_is_refused_before_it_is_waited_for(one_layer: Path, name: str, kind: str) -> None:
    (one_layer / name).unlink()
    if kind == "pipe":
        os.mkfifo(one_layer / name)
    else:
        (one_layer / name).symlink_to("/dev/zero")

    with pytest.raises(CheckpointError, match=rf"{name}: is a pipe, a socket or a device"):
        read_checkpoint(one_layer)


def test_folder_in_place_of_weights_is_refused(one_layer: Path) -> None:
    (one_layer / "model.safetensors").unlink()
    (one_layer / "model.safetensors").mkdir()

    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        read_checkpoint(one_layer)
