"""Save the tiny checkpoints in the formats that PyTorch and ONNX write, for the readers' tests.

Run by hand, in the environment of record.py with `onnx` and `onnxscript` added, from the project's folder:

    .venv-golden/bin/python tests/golden/record_formats.py

The weights are those of tests/data/checkpoints/, bit for bit, so that a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

DATA = Path(__file__).parent.parent / "data"
CHECKPOINTS = DATA / "checkpoints"
FORMATS = DATA / "formats"
SHARD = "pytorch_model-{:05}-of-00002.bin"
OPSET = 17


def save_torch() -> None:
    """One file in each layout, and shards."""
    one_layer = load_file(CHECKPOINTS / "one-layer" / "model.safetensors")
    torch.save(one_layer, FORMATS / "one-layer.bin")
    torch.save(one_layer, FORMATS / "one-layer-legacy.bin", _use_new_zipfile_serialization=False)
    three_labels = load_file(CHECKPOINTS / "three-labels" / "model.safetensors")
    folder = FORMATS / "three-labels-shards"
    folder.mkdir(exist_ok=True)
    weight_map = {name: SHARD.format(1 + ("encoder" in name)) for name in three_labels}
    for shard in set(weight_map.values()):
        part = {name: tensor for name, tensor in three_labels.items() if weight_map[name] == shard}
        torch.save(part, folder / shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def save_views() -> None:
    """Tensors that share a storage, or step through one; the values are those of torch.arange."""
    numbers = torch.arange(24, dtype=torch.float64)
    views = {
        "transposed": numbers.view(4, 6).T,
        "tail": numbers[20:],
        "every_other": numbers[::2],
        "parameter": torch.nn.Parameter(torch.arange(3, dtype=torch.float32)),
        "half": torch.arange(3, dtype=torch.float16),
        "brain": torch.arange(3, dtype=torch.bfloat16),
        "ids": torch.arange(3),
    }
    torch.save(views, FORMATS / "views.bin")
    torch.save(views, FORMATS / "views-legacy.bin", _use_new_zipfile_serialization=False)


def save_onnx() -> None:
    """The two exporters of PyTorch: the traced one, which Optimum uses, and the newer one."""
    model = AutoModelForSequenceClassification.from_pretrained(
        CHECKPOINTS / "one-layer", dtype=torch.float32, attn_implementation="eager"
    ).eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names)
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    options = {"input_names": names, "output_names": ["logits"], "opset_version": OPSET}
    torch.onnx.export(
        model, example, FORMATS / "one-layer-traced.onnx", dynamo=False, dynamic_axes=axes, **options
    )
    options["opset_version"] = OPSET + 1
    torch.onnx.export(
        model, example, FORMATS / "one-layer-exported.onnx", dynamo=True, external_data=False, **options
    )


if __name__ == "__main__":
    FORMATS.mkdir(exist_ok=True)
    save_torch()
    save_views()
    save_onnx()
