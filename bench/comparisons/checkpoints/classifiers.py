"""The classifiers that are measured: the embedded one, and random weights of base size."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bertriton_export import export
from comparisons.checkpoints.random_weights import BERT_BASE, EMBEDDED, Shape, make_checkpoint

NAME = "classifier"
PRECISIONS = ("int8", "fp32")
MINILM = Shape(6, 384)
MAX_LENGTH = 512  # tokens, of every tokenizer here

_RELATIVES = Path(__file__).with_name("relatives.py")
FAMILY_TO_TITLE = {"deberta-v3": "DeBERTa-v3-base shape", "modernbert": "ModernBERT-base shape"}


@dataclass(frozen=True)
class Classifier:
    """One checkpoint, exported in every precision."""

    title: str
    checkpoint: Path
    precision_to_repository: dict[str, Path]
    shape: Shape | None = None  # where the encoder is BERT's


def minilm(folder: Path) -> Classifier:
    """The embedded film-review classifier: 6 layers of 384."""
    repositories = {precision: folder / f"minilm-{precision}" for precision in PRECISIONS}
    for precision, repository in repositories.items():
        export(EMBEDDED, name=NAME, repository=repository, precision=precision)
    return Classifier("MiniLM", EMBEDDED, repositories, MINILM)


def bert_base(folder: Path) -> Classifier:
    """BERT-base's shape: 12 layers of 768."""
    checkpoint = folder / "base"
    make_checkpoint(checkpoint, BERT_BASE)
    repositories = {precision: folder / f"base-{precision}" for precision in PRECISIONS}
    for precision, repository in repositories.items():
        # Random weights decide nothing, so there is nothing for int8 to agree with.
        is_gated = precision != "int8"
        export(checkpoint, name=NAME, repository=repository, precision=precision, gate=is_gated)
    return Classifier("BERT-base shape", checkpoint, repositories, BERT_BASE)


def relative(family: str, folder: Path, torch_python: Path) -> Classifier:
    """The shape of another family at base size, in int8.

    Args:
        family: one of FAMILY_TO_TITLE.
        folder: to write into.
        torch_python: a Python with torch and transformers.
    """
    checkpoint = folder / family
    subprocess.run([torch_python, _RELATIVES, family, checkpoint], check=True)  # noqa: S603 (our own script)
    shutil.copyfile(EMBEDDED / "tokenizer.json", checkpoint / "tokenizer.json")
    settings = json.loads((EMBEDDED / "tokenizer_config.json").read_text(encoding="utf-8"))
    # Of tokenizer.json alone, for no family's own class reads WordPiece.
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    repository = folder / f"{family}-int8"
    # Random weights decide nothing, so there is nothing for int8 to agree with.
    export(checkpoint, name=NAME, repository=repository, precision="int8", gate=False)
    return Classifier(FAMILY_TO_TITLE[family], checkpoint, {"int8": repository})
