"""LoRA adapters are merged as PEFT merges them, and whatever cannot be is refused by name."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import numpy as safetensors
from tokenizers import Tokenizer

from bertriton_export import CheckpointError, OptionError, UnsupportedModelError, export
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.adapter import read_adapter
from bertriton_export.verification import GraphSession, reference_logits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint

DATA = Path(__file__).parent.parent.parent / "data"
ROOT = DATA.parent.parent
ADAPTERS = DATA / "adapters"
BASES = DATA / "architectures"
TOLERANCE = 1e-4
NAME_TO_BASE = {
    "bert-new-head": "bert-multi",
    "bert-plain": "bert-single",
    "distilbert-head": "distilbert-multi",
    "distilbert-linear": "distilbert-single",
    "electra-embeddings": "electra-single",
    "roberta-patterns": "roberta-multi",
}
every_adapter = pytest.mark.parametrize("name", sorted(NAME_TO_BASE))


def base_of(name: str) -> Path:
    return BASES / NAME_TO_BASE[name]


def golden_logits(name: str) -> Any:
    return np.array(json.loads((ADAPTERS / name / "logits.json").read_text("utf-8")))


def encodings(name: str, checkpoint: Checkpoint) -> list[Encoding]:
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    answers = json.loads((base_of(name) / "answers.json").read_text("utf-8"))
    texts = [answer["text"] for answer in answers]
    return tokenizer.encode_batch([text if isinstance(text, str) else tuple(text) for text in texts])


def hold(name: str, checkpoint: Checkpoint) -> None:
    """Hold a merged checkpoint to what PEFT answers."""
    found = reference_logits(checkpoint, encodings(name, checkpoint))
    np.testing.assert_allclose(found, golden_logits(name), rtol=0, atol=TOLERANCE)


def change(folder: Path, **settings: Any) -> Path:
    """Change an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | settings))
    return folder


def change_tensors(folder: Path, changed: Callable[[dict[str, Any]], None]) -> Path:
    file = folder / "adapter_model.safetensors"
    tensors = safetensors.load_file(file)
    changed(tensors)
    safetensors.save_file(tensors, file)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A copy of the plainest adapter, which a test may change."""
    return shutil.copytree(ADAPTERS / "bert-plain", tmp_path / "bert-plain")


@pytest.fixture
def patterns(tmp_path: Path) -> Path:
    """A copy of the adapter that says everything by patterns."""
    return shutil.copytree(ADAPTERS / "roberta-patterns", tmp_path / "roberta-patterns")


def test_every_recorded_adapter_is_tested() -> None:
    assert set(NAME_TO_BASE) == {folder.name for folder in ADAPTERS.iterdir()}


@every_adapter
def test_merged_logits_are_those_of_peft(name: str) -> None:
    hold(name, read_checkpoint(ADAPTERS / name, base=str(base_of(name))))


@every_adapter
def test_an_adapter_changes_the_answers_of_its_base(name: str) -> None:
    """Else a test of merging could not fail."""
    base = read_checkpoint(base_of(name))
    expected = golden_logits(name)

    found = reference_logits(base, encodings(name, base))

    assert found.shape != expected.shape or np.abs(found - expected).max() > 100 * TOLERANCE


def test_the_exported_graph_answers_as_peft(tmp_path: Path) -> None:
    report = export(
        ADAPTERS / "bert-plain",
        base=BASES / "bert-single",
        name="tiny",
        repository=tmp_path,
        precision="fp32",
    )

    checkpoint = read_checkpoint(ADAPTERS / "bert-plain", base=str(BASES / "bert-single"))
    graph = GraphSession(tmp_path / "tiny_bert" / "1" / "model.onnx")
    found = graph.logits(encodings("bert-plain", checkpoint))
    np.testing.assert_allclose(found, golden_logits("bert-plain"), rtol=0, atol=TOLERANCE)
    manifest = json.loads((tmp_path / "tiny" / "1" / "manifest.json").read_text("utf-8"))
    config, weights = (
        (ADAPTERS / "bert-plain" / file).read_bytes()
        for file in ("adapter_config.json", "adapter_model.safetensors")
    )
    assert manifest["source"] == {
        "format": "safetensors",
        "architecture": "BertForSequenceClassification",
        "base": "bert-single",
        "base_sha256": hashlib.sha256((BASES / "bert-single" / "model.safetensors").read_bytes()).hexdigest(),
        "adapter": "LoRA",
        "adapter_rank": 4,
        "adapter_alpha": 16.0,
        "adapter_modules": 4,
        "adapter_sha256": hashlib.sha256(config + weights).hexdigest(),
        "tokenizer": "BertTokenizer from tokenizer.json, as Transformers 4.57 reads it",
    }
    assert "| source's adapter | `LoRA` |" in (tmp_path / "tiny" / "MODEL_CARD.md").read_text("utf-8")
    assert report.classifier.labels == ("neg", "so so", "pos")


def test_the_base_may_lie_beside_its_adapter(tmp_path: Path) -> None:
    folder = shutil.copytree(BASES / "bert-single", tmp_path / "both")
    shutil.copytree(ADAPTERS / "bert-plain", folder, dirs_exist_ok=True)

    hold("bert-plain", read_checkpoint(change(folder, base_model_name_or_path="org/elsewhere")))


def test_the_base_may_be_a_folder_that_the_adapter_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    hold("bert-plain", read_checkpoint(ADAPTERS / "bert-plain"))


def test_another_base_can_be_said(plain: Path) -> None:
    change(plain, base_model_name_or_path="org/elsewhere")

    hold("bert-plain", read_checkpoint(plain, base=str(BASES / "bert-single")))


def test_the_tokenizer_beside_an_adapter_is_served(plain: Path) -> None:
    base = read_checkpoint(BASES / "bert-single")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASES / "bert-single" / file, plain)
    settings = json.loads((plain / "tokenizer_config.json").read_text("utf-8"))
    (plain / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 32}))

    checkpoint = read_checkpoint(plain, base=str(BASES / "bert-single"))

    assert (checkpoint.max_length, base.max_length) == (32, 64)


@pytest.mark.parametrize("prefix", ["own", ""])
@pytest.mark.parametrize("name", ["bert-new-head", "distilbert-head"])
def test_a_base_without_a_head_gets_the_adapters(name: str, prefix: str, tmp_path: Path) -> None:
    """As models of masked words are saved, with their own name, and bare encoders, without."""
    base = shutil.copytree(base_of(name), tmp_path / "base")
    own = name.partition("-")[0] + "."
    tensors = safetensors.load_file(base / "model.safetensors")
    bare = {key: tensor for key, tensor in tensors.items() if key.startswith(own)}
    bare[f"{own}embeddings.position_ids"] = np.arange(64)[None]  # a buffer that old versions saved
    renamed = bare if prefix else {key.removeprefix(own): tensor for key, tensor in bare.items()}
    safetensors.save_file(renamed, base / "model.safetensors")
    config = json.loads((base / "config.json").read_text("utf-8"))
    del config["id2label"], config["label2id"], config["problem_type"]
    (base / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))

    checkpoint = read_checkpoint(ADAPTERS / name, base=str(base))

    hold(name, checkpoint)
    assert checkpoint.labels == tuple(f"LABEL_{index}" for index in range(golden_logits(name).shape[1]))


def test_weights_of_an_adapter_count_for_the_models_hash(plain: Path) -> None:
    def sha256() -> str:
        return read_checkpoint(plain, base=str(BASES / "bert-single")).sha256

    first = sha256()
    change(plain, lora_alpha=17)
    second = sha256()
    change_tensors(
        plain, lambda tensors: tensors.update({"base_model.model.classifier.bias": np.zeros(3, "f4")})
    )

    assert len({first, second, sha256(), read_checkpoint(BASES / "bert-single").sha256}) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"peft_type": "IA3"},
            "an adapter of peft_type 'IA3', and only LORA can be merged here: merge it with PEFT",
        ),
        ({"peft_type": "ADALORA"}, "an adapter of peft_type 'ADALORA'"),
        ({"peft_type": "PROMPT_TUNING"}, "an adapter of peft_type 'PROMPT_TUNING'"),
        ({"peft_type": None}, "no peft_type, so no adapter of PEFT's; one of another"),
        ({"task_type": "CAUSAL_LM"}, "an adapter of task_type 'CAUSAL_LM', expected SEQ_CLS"),
        ({"use_dora": True}, "use_dora True: DoRA is not merged here"),
        ({"use_qalora": True}, "use_qalora True: QALoRA is not merged here"),
        ({"alora_invocation_tokens": [3]}, "alora_invocation_tokens [3]: activated LoRA is not merged here"),
        ({"layer_replication": [[0, 1]]}, "layer_replication [[0, 1]]: replicated layers is not merged"),
        ({"trainable_token_indices": [7]}, "trainable_token_indices [7]: trainable tokens is not merged"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa' changes the base as well"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights 'loftq' changes the base as well"),
        ({"use_newest": True}, "'use_newest' True is not a setting of LoRA that is known here"),
        (
            {"alpha_pattern": {"(a+)+$": 3}},
            "is more involved than patterns that are tried here",
        ),
        ({"rank_pattern": {".*.*.*q": 3}}, "is more involved"),
    ],
)
def test_what_is_computed_otherwise_is_refused_by_name(
    plain: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=re.escape(message)):
        read_checkpoint(change(plain, **settings), base=str(BASES / "bert-single"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r": 0}, "r: expected a whole number from 1"),
        ({"r": 8}, "expected a matrix of rank 8, as adapter_config.json says, found shape [4, 16]"),
        ({"lora_alpha": "16"}, "lora_alpha: expected a number, found '16'"),
        ({"lora_alpha": 10**400}, "lora_alpha: expected a number, found 1000"),
        ({"lora_alpha": -(10**400)}, "lora_alpha: expected a number, found -1000"),
        ({"lora_alpha": 1e300}, "lora_alpha: expected a number, found 1e+300"),
        ({"alpha_pattern": {"query": 10**400}}, "alpha_pattern 'query': expected a number, found 1000"),
        ({"r": 10**400}, "r: expected a whole number from 1"),
        ({"rank_pattern": {"query": 10**400}}, "query: expected a whole number from 1"),
        ({"lora_alpha": float("nan")}, "lora_alpha: expected a number, found nan"),
        ({"alpha_pattern": {"query": None}}, "alpha_pattern 'query': expected a number, found None"),
        ({"rank_pattern": {"query": 2.5}}, "query: expected a whole number from 1"),
        ({"rank_pattern": {"query": 2}}, "expected a matrix of rank 2"),
        ({"alpha_pattern": {"(query": 3}}, "alpha_pattern '(query' is not a regular expression"),
        (
            {"target_modules": ["query", "value", "key"]},
            "lacks the module 'bert.encoder.layer.0.attention.self.key'",
        ),
        (
            {"modules_to_save": ["classifier", "pooler"]},
            "lacks 'bert.pooler.dense.bias' of the module 'pooler', which modules_to_save",
        ),
        ({"base_model_name_or_path": None}, "names no base_model_name_or_path: say which with --base"),
        (
            {"base_model_name_or_path": "/no/such/folder"},
            "its base '/no/such/folder' is neither a folder here",
        ),
    ],
)
def test_a_configuration_that_says_it_wrong_is_refused(
    plain: Path, settings: dict[str, Any], message: str
) -> None:
    base = None if "base_model_name_or_path" in settings else str(BASES / "bert-single")

    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_checkpoint(change(plain, **settings), base=base)


LAYER = "base_model.model.bert.encoder.layer.1.attention.self.query"


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    def changed(tensors: dict[str, Any]) -> None:
        del tensors[name]

    return changed


def _with(name: str, *shape: int, dtype: str = "f4") -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.update({name: np.ones(shape, dtype)})


def _without_layer(tensors: dict[str, Any]) -> None:
    for side in "AB":
        del tensors[f"{LAYER}.lora_{side}.weight"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (_without(f"{LAYER}.lora_B.weight"), "expected lora_B, found no such tensor"),
        (
            _without_layer,
            "lacks the module 'bert.encoder.layer.1.attention.self.query', which target_modules",
        ),
        (
            _without("base_model.model.classifier.weight"),
            "lacks 'classifier.weight' of the module 'classifier', which modules_to_save names",
        ),
        (_with(f"{LAYER}.lora_B.weight", 8, 4), "expected floats of shape [8, 16] in the base"),
        (_with(f"{LAYER}.lora_magnitude_vector", 16), "expected a tensor of LoRA, a weight or a bias"),
        (_with("base_model.model.bert.encoder.ia3_l", 16), "expected a tensor of LoRA, a weight or a bias"),
        (_with("base_model.model.bert.extra.weight", 4), "expected a tensor of the base, found none"),
        (_with("bert.pooler.dense.bias", 16), "expected a name that begins with base_model.model."),
        (_with(f"{LAYER}.lora_A.bias", 4), "expected no bias of A"),
        (_with(f"{LAYER}.lora_A.default.weight", 4, 16), "expected one such factor of its module"),
        (_with(f"{LAYER}.lora_B.default.weight", 16, 4), "expected one such factor of its module"),
        (_with("base_model.model.classifier.bias", 3, dtype="i8"), "expected one of ['BF16', 'F16', 'F32'"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    plain: Path, changed: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_checkpoint(change_tensors(plain, changed), base=str(BASES / "bert-multi"))


def test_an_adapter_without_weights_is_refused(plain: Path) -> None:
    (plain / "adapter_model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="an adapter without weights"):
        read_checkpoint(plain)


def test_a_base_that_is_an_adapter_or_nothing_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found another adapter"):
        read_checkpoint(plain, base=str(ADAPTERS / "bert-new-head"))
    with pytest.raises(CheckpointError, match=r"expected the base of .*bert-plain, a Hugging Face folder"):
        read_checkpoint(plain, base=str(tmp_path))
    with pytest.raises(
        OptionError, match=r"base is about adapters, and .*bert-single has no adapter_config.json"
    ):
        read_checkpoint(BASES / "bert-single", base=str(BASES / "bert-multi"))


def test_layers_of_a_head_that_is_saved_whole_need_no_update_of_their_own(patterns: Path) -> None:
    # As PEFT writes it for all-linear; RoBERTa's out_proj is in its head alone.
    change(patterns, target_modules=["query", "out_proj"])

    hold("roberta-patterns", read_checkpoint(patterns, base=str(base_of("roberta-patterns"))))


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_beside_its_base_without_its_configuration_is_not_ignored(
    name: str, tmp_path: Path
) -> None:
    base = shutil.copytree(BASES / "bert-single", tmp_path / "base")
    shutil.copyfile(ADAPTERS / "bert-plain" / "adapter_model.safetensors", base / name)

    with pytest.raises(CheckpointError, match=f"holds the adapter {name} but no adapter_config.json"):
        read_checkpoint(base)


def test_weights_with_an_adapter_inside_are_refused(tmp_path: Path) -> None:
    base = shutil.copytree(BASES / "bert-single", tmp_path / "base")
    tensors = safetensors.load_file(base / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.lora_A.default.weight"
    safetensors.save_file(tensors | {name: np.ones((4, 16), "f4")}, base / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"expected weights without an adapter, .* found one of LoRA"):
        read_checkpoint(base)


def test_patterns_are_of_whole_names_or_of_their_ends(patterns: Path) -> None:
    settings = read_adapter(patterns).settings

    assert settings.rank_of("roberta.encoder.layer.1.attention.self.key") == 2
    assert settings.rank_of("roberta.encoder.layer.11.attention.self.key") == 4
    assert settings.rank_of("roberta.encoder.layer.0.attention.self.query") == 3
    assert settings.scaling_of("roberta.encoder.layer.0.attention.self.query") == pytest.approx(12 / 3**0.5)
    assert settings.scaling_of("roberta.encoder.layer.1.intermediate.dense") == pytest.approx(3 / 4**0.5)
    assert settings.scaling_of("roberta.encoder.layer.1.attention.self.value") == pytest.approx(6 / 4**0.5)
