"""The Hugging Face pipeline, which tokenises and classifies a list of texts in batches.

    .venv-torch/bin/python bench/comparisons/contenders/hugging_face.py CHECKPOINT TEXTS.json

The dtype is always named: left out, the pipeline computes in that of the checkpoint's file, and a checkpoint
stored in float16 would make it many times slower on a CPU than it need be.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

import torch
import transformers
from line_protocol import answer_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WARM_UP_TEXT = "A fine film."
# Both: which is faster depends on the CPU.
DTYPES = ("bfloat16", "float32")
BATCHES = (1, 8, 32)


class Pipelines:
    """A pipeline a dtype."""

    def __init__(self, checkpoint: str) -> None:
        transformers.logging.set_verbosity_error()
        self.versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        self.settings = [f"{dtype}, batch {batch}" for dtype, batch in itertools.product(DTYPES, BATCHES)]
        self._dtype_to_pipeline = {dtype: pipeline(checkpoint, dtype) for dtype in DTYPES}
        for classify in self._dtype_to_pipeline.values():
            classify([WARM_UP_TEXT], truncation=True)

    def prepare(self, texts: Sequence[str], setting: str) -> Callable[[], list[str]]:
        """See `line_protocol.Contender`."""
        dtype, batch = setting.split(", batch ")
        classify = self._dtype_to_pipeline[dtype]

        def run() -> list[str]:
            answers = classify(list(texts), batch_size=int(batch), truncation=True)
            return [answer["label"] for answer in answers]

        return run


def pipeline(checkpoint: str, dtype: str) -> transformers.TextClassificationPipeline:
    """The checkpoint's pipeline, which computes in a dtype of torch."""
    return transformers.pipeline(
        "text-classification", model=checkpoint, device="cpu", dtype=getattr(torch, dtype)
    )


if __name__ == "__main__":
    answer_lines(sys.argv[2], lambda: Pipelines(sys.argv[1]))
