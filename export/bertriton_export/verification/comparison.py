"""Hold an exported graph to the float64 reference on real text, and refuse it otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np
from tokenizers import Encoding, Tokenizer

from bertriton_export.errors import VerificationError
from bertriton_export.verification.reference import reference_logits
from bertriton_export.verification.session import GraphSession

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint

FP32_TOLERANCE: Final = 1e-4  # largest |logit difference|

# Lengths in tokens, besides the model's own maximum: short ones dominate real traffic, and none is alike.
VERIFIED_LENGTHS: Final = (2, 3, 8, 21, 34, 55, 89)
# A model that reads more is verified up to here: float64 takes tens of milliseconds a token of a base size.
LONGEST_VERIFIED_TOKENS: Final = 512


@dataclass(frozen=True)
class Verification:
    """How far a graph is from the reference."""

    texts: int
    tokens: int
    max_difference: float  # of logits
    tolerance: float


def sample_texts() -> list[str]:
    """The sentences that come with the package: real film reviews, short and long."""
    file = resources.files(__package__) / "sample_reviews.txt"
    return file.read_text(encoding="utf-8").splitlines()


def verify(checkpoint: Checkpoint, onnx_file: Path, tolerance: float = FP32_TOLERANCE) -> Verification:
    """Compare the graph's logits with the reference's, all texts in one batch.

    Args:
        checkpoint: what the graph was made from.
        onnx_file: the graph, of operators that ONNX Runtime has on CPUs.
        tolerance: largest |logit difference| allowed.

    Raises:
        VerificationError: they differ by more than the tolerance.
    """
    texts, encodings = _texts_of_many_lengths(checkpoint)
    expected = reference_logits(checkpoint, encodings)
    found = GraphSession(onnx_file).logits(encodings)
    differences = np.abs(found - expected).max(axis=-1)  # (R)
    worst = int(np.nanargmax(np.where(np.isnan(differences), np.inf, differences)))
    if not differences[worst] <= tolerance:
        raise VerificationError(float(differences[worst]), tolerance, texts[worst])
    return Verification(
        texts=len(texts),
        tokens=sum(len(encoding.ids) for encoding in encodings),
        max_difference=float(differences[worst]),
        tolerance=tolerance,
    )


def _texts_of_many_lengths(checkpoint: Checkpoint) -> tuple[list[str], list[Encoding]]:
    """Runs of real sentences, each from another start, cut to the chosen lengths and the model's maximum."""
    sentences = sample_texts()
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    longest = min(checkpoint.max_length, LONGEST_VERIFIED_TOKENS)
    lengths = [length for length in VERIFIED_LENGTHS if length < longest]
    texts = [" ".join(sentences[start:]) for start in range(len(lengths) + 1)]
    encodings = []
    for text, length in zip(texts, [*lengths, longest], strict=True):
        tokenizer.enable_truncation(length)
        encodings.append(tokenizer.encode(text))
    return texts, encodings
