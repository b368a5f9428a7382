"""Whether a graph computes what the checkpoint says.

In: a `Checkpoint` and an ONNX file made from it. Out: a `Verification`, or a `VerificationError`: the
graph's logits on real text, run in ONNX Runtime, beside those of a float64 reference that shares no code
with it.
"""

from bertriton_export.verification.comparison import FP32_TOLERANCE, Verification, sample_texts, verify
from bertriton_export.verification.reference import reference_logits
from bertriton_export.verification.session import (
    GraphSession,
    encode,
    open_session,
    packed_inputs,
    runs_at_once,
)

__all__ = [
    "FP32_TOLERANCE",
    "GraphSession",
    "Verification",
    "encode",
    "open_session",
    "packed_inputs",
    "reference_logits",
    "runs_at_once",
    "sample_texts",
    "verify",
]
