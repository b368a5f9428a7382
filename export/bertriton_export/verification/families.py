"""The reference of a checkpoint's family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertriton_export.checkpoint import ModernBertConfig
from bertriton_export.verification.modernbert import modernbert_logits
from bertriton_export.verification.reference import bert_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint


def reference_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> NDArray[np.float64]:
    """Logits [texts, labels] of tokenised texts, computed one by one in float64."""
    if isinstance(checkpoint.config, ModernBertConfig):
        return modernbert_logits(checkpoint, checkpoint.config, encodings)
    return bert_logits(checkpoint, encodings)
