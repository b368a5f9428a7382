"""A classifier of a given shape with random weights: good for timing, not for answers.

The tokenizer is the embedded checkpoint's, so that real texts have real lengths.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from bertriton_export.checkpoint import BertConfig, tensor_shapes

EMBEDDED = Path(__file__).parents[3] / "checkpoints" / "imdb-minilm"
INITIALIZER_RANGE = 0.02  # standard deviation, as BERT itself starts
HEAD_SIZE = 64


@dataclass(frozen=True)
class Shape:
    """The size of a network."""

    layers: int
    hidden: int  # a multiple of HEAD_SIZE

    def __str__(self) -> str:
        return f"{self.layers} layers of {self.hidden}"

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return self.hidden // HEAD_SIZE

    @property
    def operations_per_token(self) -> int:
        """Of the encoder's linear layers, a multiplication and an addition counted as two."""
        attention, feed_forward = 4 * self.hidden**2, 2 * self.hidden * 4 * self.hidden
        return 2 * self.layers * (attention + feed_forward)


BERT_BASE = Shape(12, 768)


def make_checkpoint(folder: Path, shape: Shape) -> None:
    """Write config.json, fp32 weights and tokenizer files."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads((EMBEDDED / "config.json").read_text(encoding="utf-8"))
    document |= {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "intermediate_size": 4 * shape.hidden,
        "num_attention_heads": shape.heads,
    }
    (folder / "config.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    save_file(_random_weights(document), folder / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(EMBEDDED / name, folder / name)


def _random_weights(document: dict[str, Any]) -> dict[str, np.ndarray]:
    in_the_document = {field.name for field in fields(BertConfig)} & document.keys()
    sizes = {name: document[name] for name in in_the_document}
    config = BertConfig(**sizes, activation="gelu", num_labels=2)
    random = np.random.default_rng(0)
    return {
        name: np.ones(shape, np.float32)
        if "LayerNorm.weight" in name
        else random.normal(0, INITIALIZER_RANGE, shape).astype(np.float32)
        for name, shape in tensor_shapes(config).items()
    }
