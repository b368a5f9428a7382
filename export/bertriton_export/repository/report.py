"""What an export did, as manifest, model card and command line tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton.contract import ClassifierInfo
    from bertriton_export.int8 import Int8Comparison
    from bertriton_export.verification import Verification


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote and how well it agrees with the reference."""

    classifier: ClassifierInfo  # name, labels and limits, as the server will tell them
    repository: Path  # the folder that was written into
    target: str  # kind of machine that the graph is for
    precision: str  # of the encoder
    verified: str  # whose logits were held to the reference
    verification: Verification  # of those against float64
    int8: Int8Comparison | None  # of the int8 graph against fp32, where one was asked for
