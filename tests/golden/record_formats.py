"""Save the tiny checkpoints in the formats that PyTorch and ONNX write, for the readers' tests.

Run by hand, in the environment of record.py with `onnx` and `onnxscript` added, from the project's folder:

    .venv-golden/bin/python tests/golden/record_formats.py

The weights are those of tests/data/checkpoints/, bit for bit, so that a test compares the two; for ONNX
there is one of its own, formats/gelu/.
"""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
)

DATA = Path(__file__).parent.parent / "data"
CHECKPOINTS = DATA / "checkpoints"
FORMATS = DATA / "formats"
SHARD = "pytorch_model-{:05}-of-00002.bin"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"tok{index}" for index in range(45))]


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


def make_gelu() -> BertForSequenceClassification:
    """A network without a zero bias, as training leaves none: equal tensors are merged in an ONNX graph."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=40,
        attn_implementation="eager",
    )
    model = BertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = FORMATS / "gelu"
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    return model


def save_onnx(model: BertForSequenceClassification) -> None:
    """The two exporters of PyTorch: the traced one, which Optimum uses, and the newer one."""
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names)
    axes = {0: "batch", 1: "sequence"}
    options = {"input_names": names, "output_names": ["logits"]}
    for name, opset in (("traced-13", 13), ("traced-17", 17)):
        torch.onnx.export(
            model,
            example,
            FORMATS / f"gelu-{name}.onnx",
            dynamo=False,
            opset_version=opset,
            dynamic_axes=dict.fromkeys(names, axes),
            **options,
        )
    file = FORMATS / "gelu-exported-18.onnx"
    shapes = {"dynamic_shapes": tuple(axes for _ in names), "opset_version": 18}
    torch.onnx.export(model, example, file, dynamo=True, external_data=False, **shapes, **options)
    graph = onnx.load(file)
    for part in (*graph.graph.node, *graph.graph.initializer, *graph.graph.value_info):
        del part.metadata_props[:]  # stack traces, with the paths of this machine
    onnx.save(graph, file)


def save_distilbert_onnx() -> None:
    """A DistilBERT as Optimum exports it; its weights are those of architectures/distilbert-single."""
    folder = DATA / "architectures" / "distilbert-single"
    model = DistilBertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        model,
        tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names),
        FORMATS / "distilbert-traced-17.onnx",
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in names},
    )


if __name__ == "__main__":
    FORMATS.mkdir(exist_ok=True)
    save_torch()
    save_views()
    save_onnx(make_gelu())
    save_distilbert_onnx()
