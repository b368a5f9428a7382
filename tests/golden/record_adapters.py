"""Record what PEFT answers for LoRA adapters over the tiny checkpoints.

Where versions of Transformers disagree on tokens, 4.57 is followed:

    .venv-golden/bin/pip install torch==2.13.0 transformers==4.57.6 peft==0.21.2
    .venv-golden/bin/python tests/golden/record_adapters.py

It makes tests/data/adapters/NAME/: adapter_config.json and adapter_model.safetensors as PEFT saves them,
random and seeded, and logits.json, what the base with the adapter answers to the texts of its answers.json.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from record import HERE, ROOT
from transformers import AutoModelForSequenceClassification, AutoTokenizer

ADAPTERS = HERE.parent / "data" / "adapters"
BASES = HERE.parent / "data" / "architectures"


@dataclass(frozen=True)
class Tiny:
    """One adapter: its base, and how PEFT is asked for it."""

    name: str
    base: str
    lora: dict[str, Any]
    model: dict[str, Any] = field(default_factory=dict)  # how the base is loaded


ALL = (
    Tiny("bert-plain", "bert-single", {"r": 4, "lora_alpha": 16, "target_modules": ["query", "value"]}),
    Tiny(
        "roberta-patterns",
        "roberta-multi",
        {
            "r": 4,
            "lora_alpha": 6,
            "target_modules": r".*layer\.\d+\.(attention\.self\.(query|key|value)|intermediate\.dense)",
            "use_rslora": True,
            "rank_pattern": {"layer.1.attention.self.key": 2, "^roberta.encoder.layer.0.*query": 3},
            "alpha_pattern": {r"^roberta.*\.0\..*query": 12, "intermediate.dense": 3},
            "bias": "all",
        },
    ),
    Tiny(
        "distilbert-linear",
        "distilbert-single",
        {
            "r": 2,
            "lora_alpha": 4,
            "target_modules": "all-linear",
            "fan_in_fan_out": True,
            "lora_bias": True,
            "task_type": None,  # for a classifier PEFT would save the head, which is adapted here
        },
    ),
    Tiny(
        "electra-embeddings",
        "electra-single",
        {
            "r": 3,
            "lora_alpha": 5,
            "target_modules": ["word_embeddings", "embeddings_project", "dense"],
            "bias": "lora_only",
        },
    ),
    # Its head is of two modules, and the names of both end in what PEFT saves.
    Tiny(
        "distilbert-head",
        "distilbert-multi",
        {"r": 2, "lora_alpha": 3, "target_modules": ["q_lin", "v_lin"]},
    ),
    # Of a base without this head: that of another number of labels is left out.
    Tiny(
        "bert-new-head",
        "bert-multi",
        {"r": 4, "lora_alpha": 8, "target_modules": ["query", "key"], "layers_to_transform": [1]},
        {"num_labels": 5, "ignore_mismatched_sizes": True},
    ),
)


def randomise(model: PeftModel) -> None:
    """Give what training would have changed weights that tell."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)


@torch.inference_mode()
def logits(model: PeftModel, tiny: Tiny) -> list[list[float]]:
    """What the adapted model answers."""
    tokenizer = AutoTokenizer.from_pretrained(BASES / tiny.base)
    texts = [answer["text"] for answer in json.loads((BASES / tiny.base / "answers.json").read_text("utf-8"))]
    answers = []
    for text in texts:
        strings = [text] if isinstance(text, str) else text
        encoded = tokenizer(*strings, truncation=True, return_tensors="pt")
        answers.append(model(**encoded).logits[0].tolist())
    return answers


def main() -> None:
    """Make every adapter anew."""
    for tiny in ALL:
        base = (BASES / tiny.base).relative_to(ROOT)
        loaded = AutoModelForSequenceClassification.from_pretrained(str(base), **tiny.model)
        model = get_peft_model(loaded, LoraConfig(**{"task_type": TaskType.SEQ_CLS, **tiny.lora})).eval()
        randomise(model)
        folder = ADAPTERS / tiny.name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        # What lies there counts, and not what is in memory.
        again = AutoModelForSequenceClassification.from_pretrained(str(base), **tiny.model)
        model = PeftModel.from_pretrained(again, folder).eval()
        lines = ",\n".join(json.dumps(row) for row in logits(model, tiny))
        (folder / "logits.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
