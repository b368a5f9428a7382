"""Damaged and unsupported checkpoints are refused by name, file and tensor."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bertriton_export import CheckpointError, TensorError, UnsupportedModelError, export
from bertriton_export.reading import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def change_json(file: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    document = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))


def change_tensors(file: Path, **changes: Any) -> None:
    """Set tensors of a safetensors file (dots written as __); None removes one."""
    tensors = load_file(file)
    for name, array in changes.items():
        tensors.pop(name.replace("__", "."), None)
        if array is not None:
            tensors[name.replace("__", ".")] = array
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, r"model_type 'gpt2' with .* \(bert\), DistilBertFor"),
        (
            {"model_type": "deberta", "architectures": ["DebertaForSequenceClassification"]},
            "the first DeBERTa is another network",
        ),
        ({"architectures": ["BertForTokenClassification"]}, "BertForTokenClassification"),
        ({"position_embedding_type": "relative_key"}, "'relative_key', expected 'absolute'"),
        ({"hidden_act": "swish"}, "hidden_act 'swish', expected one of"),
        ({"is_decoder": True}, "causal"),
    ],
)
def test_unsupported_models_are_refused_by_name(
    one_layer: Path, changes: dict[str, Any], message: str
) -> None:
    change_json(one_layer / "config.json", **changes)

    with pytest.raises(UnsupportedModelError, match=message) as caught:
        read_checkpoint(one_layer)

    assert str(one_layer / "config.json") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size: expected a whole number from 1 to [0-9]+, found None"),
        ({"num_hidden_layers": 0}, "num_hidden_layers: expected a whole number from 1 to [0-9]+, found 0"),
        ({"num_hidden_layers": 10**9}, "25 tensors cannot be those of 1000000000 layers"),
        ({"num_attention_heads": 5}, "32 is not a multiple of num_attention_heads 5"),
        ({"id2label": {"0": "a"}}, "id2label: expected the keys 0 to 1"),
        ({"id2label": {"0": "a", "1": "a"}}, "labels must be distinct"),
        ({"id2label": {"0": "a", "1": "b\nc"}}, "labels must be distinct, non-empty lines"),
    ],
)
def test_contradictions_in_config_are_named(one_layer: Path, changes: dict[str, Any], message: str) -> None:
    change_json(one_layer / "config.json", **changes)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(one_layer)


def test_missing_tensor_is_named_with_its_shape(one_layer: Path) -> None:
    change_tensors(one_layer / "model.safetensors", bert__pooler__dense__weight=None)

    with pytest.raises(TensorError) as caught:
        read_checkpoint(one_layer)

    assert caught.value.tensor == "bert.pooler.dense.weight"
    assert caught.value.expected == "shape [32, 32]"
    assert caught.value.found == "no such tensor"


def test_missing_head_says_it_is_no_classifier(one_layer: Path) -> None:
    change_tensors(one_layer / "model.safetensors", classifier__bias=None, classifier__weight=None)

    with pytest.raises(TensorError, match=r"classifier\.bias.*a classification head"):
        read_checkpoint(one_layer)


def test_wrong_shape_names_expected_and_found(one_layer: Path) -> None:
    change_tensors(one_layer / "model.safetensors", bert__pooler__dense__bias=np.zeros(31, np.float32))

    with pytest.raises(TensorError) as caught:
        read_checkpoint(one_layer)

    assert caught.value.file == one_layer / "model.safetensors"
    assert (caught.value.expected, caught.value.found) == ("shape [32]", "shape [31]")


def test_tensor_of_two_shards_is_refused(cased: Path) -> None:
    first, second, *_ = sorted(cased.glob("*.safetensors"))
    name = next(iter(load_file(first)))
    save_file(load_file(second) | {name: np.zeros(3, np.float32)}, second)

    with pytest.raises(
        TensorError, match=rf"'{name}': expected each tensor in one shard, found one in {first.name}"
    ):
        read_checkpoint(cased)


def test_tensor_under_its_older_name_as_well_is_refused(one_layer: Path) -> None:
    gamma = {"bert__embeddings__LayerNorm__gamma": np.ones(32, np.float32)}
    change_tensors(one_layer / "model.safetensors", **gamma)

    with pytest.raises(TensorError, match=r"LayerNorm\.weight': expected one tensor, found one more"):
        read_checkpoint(one_layer)


def test_more_tensors_than_any_model_has_are_refused(one_layer: Path) -> None:
    """Six hundred thousand took half a minute."""
    save_file(
        {str(index): np.zeros(0, np.float32) for index in range(10_001)}, one_layer / "model.safetensors"
    )

    with pytest.raises(CheckpointError, match="10001 tensors, expected at most 10000"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bert__adapter__weight", "an adapter's tensor"),
        ("bert__query__lora_A__weight", "expected weights without an adapter"),
    ],
)
def test_a_tensor_of_an_adapter_is_refused(one_layer: Path, name: str, problem: str) -> None:
    change_tensors(one_layer / "model.safetensors", **{name: np.zeros(3, np.float32)})

    with pytest.raises(TensorError, match=problem):
        read_checkpoint(one_layer)


def test_tensors_that_no_classifier_has_are_listed(one_layer: Path, tmp_path: Path) -> None:
    change_tensors(one_layer / "model.safetensors", loss_fct__pos_weight=np.zeros(3, np.float32))

    export(one_layer, name="tiny", repository=tmp_path / "repository", precision="fp32")

    manifest = json.loads((tmp_path / "repository" / "tiny" / "1" / "manifest.json").read_text("utf-8"))
    assert manifest["unused_tensors"] == ["loss_fct.pos_weight"]


@pytest.mark.parametrize(
    ("name", "key", "dropped"),
    [
        ("bert-single", "num_hidden_layers", "bert.encoder.layer.1."),
        ("distilbert-single", "n_layers", "distilbert.transformer.layer.1."),
        ("deberta-v2-single", "num_hidden_layers", "deberta.encoder.layer.1."),
    ],
)
def test_a_layer_that_the_configuration_does_not_count_is_refused(
    architectures: Path, name: str, key: str, dropped: str
) -> None:
    """It was left out of the network without a word."""
    change_json(architectures / name / "config.json", **{key: 1})

    with pytest.raises(
        TensorError, match=r"expected no layer beyond the 1 that the .* found one more"
    ) as caught:
        read_checkpoint(architectures / name)

    assert caught.value.tensor.startswith(dropped)


@pytest.mark.parametrize("dimensions", [30, 5000])
def test_messages_are_short_whatever_shapes_and_names_a_file_has(one_layer: Path, dimensions: int) -> None:
    bias = np.ones((1,) * 30, np.float32)
    change_tensors(one_layer / "model.safetensors", bert__pooler__dense__bias=bias)
    file = one_layer / "model.safetensors"
    content = file.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    header["bert.pooler.dense.bias"]["shape"] = [1] * dimensions
    long = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(long)) + long + content[8 + size :])

    with pytest.raises(TensorError, match=r"found shape \[1, 1, ") as caught:
        read_checkpoint(one_layer)

    assert len(str(caught.value)) < len(str(file)) + 400


def test_pretraining_heads_are_ignored(one_layer: Path) -> None:
    change_tensors(one_layer / "model.safetensors", cls__predictions__bias=np.zeros(3, np.float32))

    assert read_checkpoint(one_layer).labels == ("neg", "pos")


def test_integer_weights_are_refused(one_layer: Path) -> None:
    change_tensors(one_layer / "model.safetensors", bert__pooler__dense__bias=np.zeros(32, np.int8))

    with pytest.raises(TensorError, match=r"bert\.pooler\.dense\.bias.*found I8"):
        read_checkpoint(one_layer)


def test_nan_weights_are_refused_and_nothing_is_written(one_layer: Path, tmp_path: Path) -> None:
    bias = np.full(32, np.nan, np.float32)
    change_tensors(one_layer / "model.safetensors", bert__pooler__dense__bias=bias)

    with pytest.raises(TensorError, match=r"bert\.pooler\.dense\.bias.*NaN"):
        export(one_layer, repository=tmp_path / "repository", precision="fp32")

    assert list((tmp_path / "repository").iterdir()) == []


def test_cut_off_weights_are_refused(one_layer: Path) -> None:
    file = one_layer / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_checkpoint(one_layer)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_tensor_that_stands_twice_in_a_header_is_refused(one_layer: Path, dtype: str) -> None:
    """Of the same bytes the second entry makes other numbers, and the library takes it without a word."""
    file = one_layer / "model.safetensors"
    content = file.read_bytes()
    (header_bytes,) = struct.unpack_from("<Q", content)
    header = content[8 : 8 + header_bytes].decode().rstrip()
    again = json.loads(header)["classifier.bias"] | {"dtype": dtype}
    header = f'{header[:-1]}, "classifier.bias": {json.dumps(again)}}}'
    header += " " * (-len(header) % 8)
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode() + content[8 + header_bytes :])

    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: .*the key 'classifier\.bias' stands twice"
    ):
        read_checkpoint(one_layer)


def test_old_layer_norm_names_are_read(one_layer: Path) -> None:
    file = one_layer / "model.safetensors"
    tensors = load_file(file)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in tensors.items()
    }
    save_file(renamed, file)

    assert renamed.keys() != tensors.keys()
    assert read_checkpoint(one_layer).config.num_hidden_layers == 1


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/hostname", "missing.safetensors"])
def test_shard_index_cannot_lead_out_of_the_folder(cased: Path, shard: str) -> None:
    change_json(cased / "model.safetensors.index.json", weight_map={"classifier.bias": shard})

    with pytest.raises(CheckpointError, match="not a file of the folder"):
        read_checkpoint(cased)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, r"holds model\.safetensors but no config\.json"),
        ("config.json", "{", "not readable as JSON"),
        ("config.json", "[]", "expected a JSON object, found list"),
        (
            "model.safetensors",
            None,
            "holds no weights: expected model.safetensors, pytorch_model.bin, ",
        ),
        ("tokenizer.json", None, "neither tokenizer.json nor vocab.txt"),
        ("tokenizer.json", "{}", "the tokenizers library cannot read it"),
        ("tokenizer_config.json", "{", "not readable as JSON"),
    ],
)
def test_missing_and_unreadable_files_are_named(
    one_layer: Path, file: str, content: str | None, message: str
) -> None:
    (one_layer / file).unlink()
    if content is not None:
        (one_layer / file).write_text(content)

    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(one_layer)

    assert "one-layer" in str(caught.value)


def test_vocabulary_without_its_special_tokens_is_refused(cased: Path) -> None:
    (cased / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\nfilm\n")

    with pytest.raises(CheckpointError, match=r"sep_token '\[SEP\]' is not in the vocabulary"):
        read_checkpoint(cased)


def test_vocabulary_larger_than_the_embeddings_is_refused(cased: Path) -> None:
    with (cased / "vocab.txt").open("a") as file:
        file.writelines(f"word{index}\n" for index in range(500))

    with pytest.raises(CheckpointError, match="has embeddings for"):
        read_checkpoint(cased)


def test_labels_can_be_given_and_must_fit_the_head(one_layer: Path) -> None:
    assert read_checkpoint(one_layer, ["bad", "good"]).labels == ("bad", "good")
    with pytest.raises(CheckpointError, match=r"3 labels .* for a classifier of 2"):
        read_checkpoint(one_layer, ["a", "b", "c"])


def test_labels_default_to_those_of_transformers(one_layer: Path) -> None:
    change_json(one_layer / "config.json", id2label=None)

    assert read_checkpoint(one_layer).labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("ids", [{"neg": 1, "pos": 0}, {"pos": 0}, {"neg": "1"}, {"neg": 7}])
def test_label_maps_that_contradict_each_other_are_refused(one_layer: Path, ids: dict[str, Any]) -> None:
    change_json(one_layer / "config.json", label2id=ids)

    with pytest.raises(CheckpointError, match=r"config\.json: label2id: expected . for '...', as id2label"):
        read_checkpoint(one_layer)

    assert read_checkpoint(one_layer, ["bad", "good"]).labels == ("bad", "good")


@pytest.mark.parametrize(
    "ids", [None, {}, {"LABEL_0": 0, "LABEL_1": 1}, {"pos": 1}, {"neg": "0", "pos": "1"}, {"bad": 1}]
)
def test_a_label_that_only_one_map_has_is_no_contradiction(
    one_layer: Path, ids: dict[str, Any] | None
) -> None:
    """Transformers saves its own names there, where others were set in id2label alone."""
    change_json(one_layer / "config.json", label2id=ids)

    assert read_checkpoint(one_layer).labels == ("neg", "pos")


def test_tokenizer_settings_overrule_the_tokenizer_file(one_layer: Path) -> None:
    change_json(one_layer / "tokenizer_config.json", do_lower_case=False)

    normalizer = json.loads(read_checkpoint(one_layer).tokenizer_json)["normalizer"]

    assert normalizer["lowercase"] is False
