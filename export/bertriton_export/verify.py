"""Hold an exported graph to the float64 reference on real text, and refuse it otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime
from bertriton import contract
from tokenizers import Encoding, Tokenizer

from bertriton_export.errors import VerificationError
from bertriton_export.reference import reference_logits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint

FP32_TOLERANCE: Final = 1e-4  # largest |logit difference|

# Lengths in tokens, besides the model's own maximum: short ones dominate real traffic, and none is alike.
VERIFIED_LENGTHS: Final = (3, 8, 21, 34, 55, 89, 144)


@dataclass(frozen=True)
class Verification:
    """How far a graph is from the reference."""

    texts: int
    tokens: int
    max_difference: float  # of logits
    tolerance: float


def sample_texts() -> list[str]:
    """The sentences that come with the package: real film reviews, short and long."""
    file = resources.files("bertriton_export") / "data" / "sample_reviews.txt"
    return file.read_text(encoding="utf-8").splitlines()


def verify(checkpoint: Checkpoint, onnx_file: Path) -> Verification:
    """Compare the graph's logits with the reference's, all texts in one packed batch.

    Raises:
        VerificationError: they differ by more than the tolerance.
    """
    texts, encodings = _texts_of_many_lengths(checkpoint)
    expected = reference_logits(checkpoint, encodings)
    found = graph_logits(onnx_file, encodings)
    differences = np.abs(found - expected).max(axis=-1)  # (R)
    worst = int(np.nanargmax(np.where(np.isnan(differences), np.inf, differences)))
    if not differences[worst] <= FP32_TOLERANCE:
        raise VerificationError(float(differences[worst]), FP32_TOLERANCE, texts[worst])
    return Verification(
        texts=len(texts),
        tokens=sum(len(encoding.ids) for encoding in encodings),
        max_difference=float(differences[worst]),
        tolerance=FP32_TOLERANCE,
    )


def graph_logits(onnx_file: Path, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
    """Logits [texts, labels] of an exported graph for tokenised texts, packed into one batch."""
    options = onnxruntime.SessionOptions()
    # A second copy of all weights in the kernels' own layout is not worth its memory for one run.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([contract.LOGITS], packed_inputs(encodings))[0])


def packed_inputs(encodings: Sequence[Encoding]) -> dict[str, NDArray[Any]]:
    """The graph's inputs for tokenised texts: all tokens one after the other, each [T] INT32."""
    return {
        contract.INPUT_IDS: _packed([encoding.ids for encoding in encodings]),
        contract.TOKEN_TYPE_IDS: _packed([encoding.type_ids for encoding in encodings]),
        contract.POSITION_IDS: _packed([range(len(encoding.ids)) for encoding in encodings]),
    }


def _packed(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.concatenate([np.asarray(row, np.int32) for row in rows])


def _texts_of_many_lengths(checkpoint: Checkpoint) -> tuple[list[str], list[Encoding]]:
    """Real sentences as they are, and runs of them cut to chosen lengths up to the model's maximum."""
    texts = sample_texts()
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    everything = " ".join(texts)
    encodings = []
    for length in (*VERIFIED_LENGTHS, checkpoint.max_length):
        if length <= checkpoint.max_length:
            tokenizer.enable_truncation(length)
            encodings.append(tokenizer.encode(everything))
    return [everything] * len(encodings), encodings
