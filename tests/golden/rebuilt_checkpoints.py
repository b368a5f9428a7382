"""Checkpoints of model families, rebuilt from what tests/data/families/NAME.json tells of them.

Weights are drawn anew, each from a seed of its own name, so that only their shapes are kept. The recording of
answers (record_families.py) and the tests both build them here.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DATA = Path(__file__).parent.parent / "data"
FAMILIES = DATA / "families"
MATRIX_SPREAD = 0.7  # large enough for logits to differ between texts
VECTOR_SPREAD = 0.2  # of biases; a bias of zeros would hide one that is missing


def names() -> list[str]:
    """All checkpoints there are."""
    return sorted(file.stem for file in FAMILIES.glob("*.json"))


def read(name: str) -> dict[str, Any]:
    """What is kept of a checkpoint: configuration, shapes, tokenizer and answers."""
    document: dict[str, Any] = json.loads((FAMILIES / f"{name}.json").read_text("utf-8"))
    return document


def weight(name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """A tensor's values, evenly spread around 0, or around 1 where they scale."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    spread = MATRIX_SPREAD if len(shape) > 1 else VECTOR_SPREAD
    values = spread * (2 * random.random(tuple(shape)) - 1)
    is_scale = len(shape) == 1 and name.endswith("weight")
    return (values + is_scale).astype(np.float32)


def rebuild(document: Mapping[str, Any], folder: Path) -> Path:
    """Write config.json, weights and tokenizer into a folder, which is made."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(document["config"]), encoding="utf-8")
    tensors = {name: weight(name, shape) for name, shape in document["tensors"].items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = DATA / "architectures" / document["tokenizer"] / "tokenizer.json"
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    settings = json.dumps(document["tokenizer_config"])
    (folder / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    return folder
