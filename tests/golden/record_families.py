"""Record what Transformers answers for every model family; see record.py for the environment.

    .venv-golden/bin/python tests/golden/record_families.py [NAME ...]

It writes tests/data/families/NAME.json: a tiny configuration, the shapes of its tensors, and texts, token ids
and logits. rebuilt_checkpoints.py makes the checkpoints themselves. Those that are there already stay as they
are, unless they are named.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from rebuilt_checkpoints import DATA, FAMILIES, rebuild
from record import sample_lines
from record_architectures import HEAD_TO_SETTINGS, TYPED_SPECIAL_TOKENS
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

BERT_TOKENIZER = "electra-single"
ROBERTA_TOKENIZER = "roberta-single"
UNIGRAM_TOKENIZER = "xlm-roberta-single"


@dataclass(frozen=True)
class Tiny:
    """One checkpoint: how its configuration differs from the defaults."""

    name: str  # FAMILY-VARIANT
    model_type: str
    head: str
    sizes: dict[str, Any]
    tokenizer: str = ROBERTA_TOKENIZER
    max_length: int = 64
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")
    old_keys: dict[str, Any] = field(default_factory=dict)  # as other versions write them
    dropped_keys: tuple[str, ...] = ()
    is_as_saved: bool = False  # tensors as Transformers writes them, where that is not as it has them


MODERNBERT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "max_position_embeddings": 160,
    "local_attention": 10,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "cls_token_id": 0,
    "sep_token_id": 2,
}
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
ROBERTA = BERT | {"max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1}
MPNET = ROBERTA | {"max_position_embeddings": 152}
WITH_TYPES = ("input_ids", "token_type_ids", "attention_mask")
ROTARY = BERT | {"max_position_embeddings": 160}
MODELS = (
    # Layers that all share their weights; the embeddings are projected even where widths are equal.
    Tiny("albert-single", "albert", "single", BERT | {"embedding_size": 8}, inputs=WITH_TYPES),
    Tiny("albert-multi", "albert", "multi", BERT | {"embedding_size": 16, "hidden_act": "gelu"}),
    Tiny(
        "albert-regression",
        "albert",
        "regression",
        BERT | {"embedding_size": 12, "num_hidden_groups": 2, "num_hidden_layers": 5},
        tokenizer=BERT_TOKENIZER,
        inputs=WITH_TYPES,
    ),
    Tiny("camembert-single", "camembert", "single", ROBERTA),
    Tiny("camembert-multi", "camembert", "multi", ROBERTA, tokenizer=UNIGRAM_TOKENIZER),
    Tiny("camembert-regression", "camembert", "regression", ROBERTA | {"hidden_act": "relu"}),
    # Beyond the farthest bucket of distances.
    Tiny("mpnet-single", "mpnet", "single", MPNET, max_length=150),
    Tiny("mpnet-multi", "mpnet", "multi", MPNET, max_length=150),
    # Padding is token 1 to the network, whatever the configuration says.
    Tiny(
        "mpnet-regression",
        "mpnet",
        "regression",
        MPNET | {"pad_token_id": 0, "hidden_act": "gelu_new"},
        tokenizer=BERT_TOKENIZER,
        max_length=150,
    ),
    Tiny("ernie-single", "ernie", "single", BERT | {"use_task_id": True}, BERT_TOKENIZER, inputs=WITH_TYPES),
    Tiny("ernie-multi", "ernie", "multi", BERT | {"type_vocab_size": 4}, BERT_TOKENIZER, inputs=WITH_TYPES),
    Tiny(
        "ernie-regression",
        "ernie",
        "regression",
        BERT | {"use_task_id": True, "task_type_vocab_size": 5, "hidden_act": "relu"},
        BERT_TOKENIZER,
    ),
    Tiny("data2vec-text-single", "data2vec-text", "single", ROBERTA),
    Tiny("data2vec-text-multi", "data2vec-text", "multi", ROBERTA),
    Tiny("data2vec-text-regression", "data2vec-text", "regression", ROBERTA | {"hidden_act": "gelu_new"}),
    Tiny(
        "big_bird-single",
        "big_bird",
        "single",
        BERT | {"attention_type": "original_full"},
        UNIGRAM_TOKENIZER,
        inputs=WITH_TYPES,
    ),
    Tiny(
        "big_bird-multi",
        "big_bird",
        "multi",
        BERT | {"attention_type": "original_full", "hidden_act": "relu"},
    ),
    # As long as Transformers goes over to full attention: (5 + 2 * 2) * 4 tokens.
    Tiny(
        "big_bird-regression",
        "big_bird",
        "regression",
        BERT | {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 2},
        max_length=36,
    ),
    Tiny("xlm-roberta-xl-single", "xlm-roberta-xl", "single", ROBERTA, UNIGRAM_TOKENIZER),
    Tiny("xlm-roberta-xl-multi", "xlm-roberta-xl", "multi", ROBERTA | {"hidden_act": "gelu_new"}),
    Tiny("xlm-roberta-xl-regression", "xlm-roberta-xl", "regression", ROBERTA),
)
MODERN = (
    # Local attention in the last layer but one; a first token's mean with nobody.
    Tiny("modernbert-single", "modernbert", "single", MODERNBERT, max_length=150),
    # As Transformers 4 writes it, and a local layer at the end.
    Tiny(
        "modernbert-multi",
        "modernbert",
        "multi",
        MODERNBERT | {"num_hidden_layers": 3, "classifier_pooling": "mean"},
        max_length=150,
        old_keys={
            "global_rope_theta": 80_000.0,
            "local_rope_theta": 500.0,
            "global_attn_every_n_layers": 2,
        },
        dropped_keys=("rope_parameters", "layer_types"),
    ),
    # Every bias there is, another order of layers, and thetas that are none of the defaults.
    Tiny(
        "modernbert-regression",
        "modernbert",
        "regression",
        MODERNBERT
        | {
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "classifier_bias": True,
            "hidden_activation": "gelu_pytorch_tanh",
            "classifier_activation": "relu",
            "local_attention": 38,
            "layer_types": [
                "sliding_attention",
                "full_attention",
                "full_attention",
                "sliding_attention",
            ],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 1000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
            },
        },
        max_length=150,
        tokenizer=BERT_TOKENIZER,
    ),
)

# Both layouts of their tensors; Transformers writes the older one.
ROTATED = (
    Tiny("gte-single", "gte", "single", ROTARY, UNIGRAM_TOKENIZER, max_length=150, is_as_saved=True),
    # Pairs told apart, another base, and of the embeddings no token types at all.
    Tiny(
        "gte-multi",
        "gte",
        "multi",
        ROTARY | {"type_vocab_size": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        BERT_TOKENIZER,
        max_length=150,
        inputs=WITH_TYPES,
    ),
    Tiny("gte-regression", "gte", "regression", ROTARY | {"type_vocab_size": 0}, max_length=150),
    Tiny(
        "nomic_bert-single",
        "nomic_bert",
        "single",
        ROTARY,
        BERT_TOKENIZER,
        max_length=150,
        inputs=WITH_TYPES,
        is_as_saved=True,
    ),
    Tiny("nomic_bert-multi", "nomic_bert", "multi", ROTARY | {"hidden_act": "gelu"}, max_length=150),
    Tiny(
        "nomic_bert-regression",
        "nomic_bert",
        "regression",
        ROTARY | {"type_vocab_size": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 9.0}},
        max_length=150,
    ),
)


def configuration(tiny: Tiny) -> dict[str, Any]:
    """config.json, as Transformers writes it or, with old keys, wrote it."""
    vocabulary = json.loads((DATA / "architectures" / tiny.tokenizer / "config.json").read_text("utf-8"))
    config = AutoConfig.for_model(
        tiny.model_type,
        vocab_size=vocabulary["vocab_size"],
        **tiny.sizes,
        **HEAD_TO_SETTINGS[tiny.head],
    )
    document: dict[str, Any] = json.loads(config.to_json_string())
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    document |= {"architectures": [type(model).__name__], **tiny.old_keys}
    return {key: value for key, value in document.items() if key not in tiny.dropped_keys}


def described(tiny: Tiny) -> dict[str, Any]:
    """All but the answers."""
    config = configuration(tiny)
    return {
        "transformers": transformers.__version__,
        "config": config,
        "tensors": tensors(tiny, config),
        "tokenizer": tiny.tokenizer,
        "tokenizer_config": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": list(tiny.inputs),
            "model_max_length": tiny.max_length,
        },
    }


def tensors(tiny: Tiny, config: dict[str, Any]) -> dict[str, list[int]]:
    """Names and shapes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        read = AutoConfig.from_pretrained(folder)
        with torch.device("cpu" if tiny.is_as_saved else "meta"):
            model = AutoModelForSequenceClassification.from_config(read)
        found = model.state_dict()
        if tiny.is_as_saved:
            model.save_pretrained(folder)
            found = load_file(Path(folder) / "model.safetensors")
    return {name: list(tensor.shape) for name, tensor in found.items()}


def chosen_texts() -> list[str | list[str]]:
    """Of none, few and many tokens, pairs among them, and one that is cut."""
    lines = sample_lines()
    return [
        *lines[:6],
        "",
        "Ça m'a plu ! 素晴らしい映画でした 😀",
        TYPED_SPECIAL_TOKENS,
        " ".join(lines[6:9]),
        " ".join(lines[9:15]),
        [lines[15], lines[16]],
        ["typed <pad> [PAD]", TYPED_SPECIAL_TOKENS],
    ]


@torch.inference_mode()
def answers(folder: Path) -> list[dict[str, Any]]:
    """What Transformers answers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, loading = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), loading
    model.eval()
    found = []
    for text in chosen_texts():
        rows = [text] if isinstance(text, str) else text
        encoded = tokenizer(*rows, truncation=True, return_tensors="pt")
        logits = model(**encoded).logits[0].tolist()
        found.append({"text": text, "input_ids": encoded["input_ids"][0].tolist(), "logits": logits})
    return found


def written(document: dict[str, Any]) -> str:
    """As JSON, each answer on a line of its own."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items() if key != "answers"]
    found = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in document["answers"])
    return "{\n" + ",\n".join(lines) + ',\n"answers": [\n' + found + "\n]\n}\n"


def main() -> None:
    """Record those that are missing or named."""
    FAMILIES.mkdir(exist_ok=True)
    for tiny in (*MODELS, *MODERN, *ROTATED):
        file = FAMILIES / f"{tiny.name}.json"
        if file.exists() and tiny.name not in sys.argv[1:]:
            continue
        document = described(tiny)
        with tempfile.TemporaryDirectory() as folder:
            document["answers"] = answers(rebuild(document, Path(folder) / tiny.name))
        file.write_text(written(document), encoding="utf-8")


if __name__ == "__main__":
    main()
