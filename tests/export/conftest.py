"""A checkpoint to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

TINY_CHECKPOINTS = Path(__file__).parent.parent / "data" / "checkpoints"


@pytest.fixture
def one_layer(tmp_path: Path) -> Path:
    """A copy of the tiny one-layer checkpoint (one bfloat16 file, tokenizer.json) that a test may change."""
    return shutil.copytree(TINY_CHECKPOINTS / "one-layer", tmp_path / "one-layer")


@pytest.fixture
def cased(tmp_path: Path) -> Path:
    """A copy of the tiny cased checkpoint (three shards, vocab.txt) that a test may change."""
    return shutil.copytree(TINY_CHECKPOINTS / "cased", tmp_path / "cased")


@pytest.fixture
def three_labels(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint with three labels and two layers."""
    return shutil.copytree(TINY_CHECKPOINTS / "three-labels", tmp_path / "three-labels")


@pytest.fixture
def architectures(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoints of every architecture that a test may change."""
    return shutil.copytree(TINY_CHECKPOINTS.parent / "architectures", tmp_path / "architectures")


@pytest.fixture
def formats() -> Path:
    """What PyTorch, TensorFlow and Spark NLP wrote for the tiny checkpoints; see tests/data/README.md."""
    return TINY_CHECKPOINTS.parent / "formats"
