"""Make a classifier of a given shape with random weights: good for timing, not for answers.

    python bench/comparisons/make_checkpoint.py FOLDER --layers 12 --hidden 768

The tokenizer is the embedded checkpoint's, so that real texts have real lengths.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bertriton_export.checkpoint import BertConfig, tensor_shapes

EMBEDDED = Path(__file__).parents[2] / "checkpoints" / "imdb-minilm"
INITIALIZER_RANGE = 0.02  # standard deviation, as BERT itself starts
HEAD_SIZE = 64


def make_checkpoint(folder: Path, *, layers: int, hidden: int) -> None:
    """Write config.json, fp32 weights and tokenizer files."""
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads((EMBEDDED / "config.json").read_text(encoding="utf-8"))
    document |= {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_attention_heads": hidden // HEAD_SIZE,
    }
    (folder / "config.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    save_file(_random_weights(document), folder / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(EMBEDDED / name, folder / name)


def _random_weights(document: dict[str, int]) -> dict[str, np.ndarray]:
    in_the_document = {field.name for field in fields(BertConfig)} & document.keys()
    sizes = {name: document[name] for name in in_the_document}
    config = BertConfig(**sizes, activation="gelu", num_labels=2)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    return {
        name: np.ones(shape, np.float32)
        if "LayerNorm.weight" in name
        else random.normal(0, INITIALIZER_RANGE, shape).astype(np.float32)
        for name, shape in tensor_shapes(config).items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    arguments = parser.parse_args()
    make_checkpoint(arguments.folder, layers=arguments.layers, hidden=arguments.hidden)
