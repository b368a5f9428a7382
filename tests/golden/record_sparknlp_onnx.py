"""Export a classifier as people do for Spark NLP's ONNX engine, for `beside_sparknlp.py` to load.

Run by hand, in the environment of record_formats.py, from the project's folder:

    .venv-golden/bin/python tests/golden/record_sparknlp_onnx.py CHECKPOINT FOLDER

CHECKPOINT is a Hugging Face folder of a BERT classifier with a tokenizer.json. FOLDER gets `model.onnx`,
traced as Optimum does, in float32, with `vocab.txt` and `labels.txt` in `assets`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import BertForSequenceClassification

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
OPSET = 14


def main(checkpoint: Path, folder: Path) -> None:
    """Write the graph and its assets."""
    model = BertForSequenceClassification.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32
    ).eval()
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (folder / "assets").mkdir(parents=True)
    write_lines(folder / "assets" / "vocab.txt", sorted(vocabulary, key=vocabulary.__getitem__))
    write_lines(folder / "assets" / "labels.txt", list(model.config.id2label.values()))
    torch.onnx.export(
        model,
        tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS),
        folder / "model.onnx",
        dynamo=False,
        opset_version=OPSET,
        input_names=INPUTS,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in INPUTS},
    )


def write_lines(file: Path, lines: list[str]) -> None:
    """A line each."""
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
