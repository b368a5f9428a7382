"""Each family in float64 numpy: the independent answer a graph is held to.

Texts are computed one at a time and without any packing, so that a reference shares no idea with the graph.
Layers are the outer loop: only one layer's weights are in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import (
    BertConfig,
    DebertaConfig,
    GteConfig,
    ModernBertConfig,
    MPNetConfig,
    XLMRobertaXLConfig,
    of_family,
)
from bertriton_export.verification.bert_reference import bert_logits
from bertriton_export.verification.deberta_reference import deberta_logits
from bertriton_export.verification.gte_reference import gte_logits
from bertriton_export.verification.modernbert_reference import modernbert_logits
from bertriton_export.verification.mpnet_reference import mpnet_logits
from bertriton_export.verification.xlm_roberta_xl_reference import xlm_roberta_xl_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.verification.float64 import Array

CONFIG_TO_LOGITS: Final[dict[type[BertConfig], Callable[[Checkpoint, Sequence[Encoding]], Array]]] = {
    BertConfig: bert_logits,
    MPNetConfig: mpnet_logits,
    XLMRobertaXLConfig: xlm_roberta_xl_logits,
    DebertaConfig: deberta_logits,
    ModernBertConfig: modernbert_logits,
    GteConfig: gte_logits,
}


def reference_logits(checkpoint: Checkpoint, encodings: Sequence[Encoding]) -> Array:
    """Logits [texts, labels] of tokenised texts, computed one by one in float64."""
    return of_family(checkpoint.config, CONFIG_TO_LOGITS)(checkpoint, encodings)
