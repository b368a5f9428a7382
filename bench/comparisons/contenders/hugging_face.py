"""The Hugging Face pipeline, in the environment of its own that has torch: asked by line, answers by line.

    .venv-torch/bin/python bench/comparisons/contenders/hugging_face.py CHECKPOINT TEXTS.json

Each line of standard input is a dtype and a batch size; each line of the answer the seconds that all texts
took. pipeline.py starts it and asks, so that the pipeline and what it is compared with take turns.

The dtype is always named: left out, the pipeline computes in that of the checkpoint's file, and a checkpoint
stored in float16 would make it many times slower on a CPU than it need be.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
import transformers

WARM_UP_TEXTS = 2
DTYPES = ("float32", "bfloat16")


def main(checkpoint: str, texts_file: str) -> None:
    """Answer until standard input ends."""
    texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    transformers.logging.set_verbosity_error()
    dtype_to_pipeline = {dtype: pipeline(checkpoint, dtype) for dtype in DTYPES}
    for classify in dtype_to_pipeline.values():
        classify(texts[:WARM_UP_TEXTS], truncation=True)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
    for line in sys.stdin:
        dtype, batch_size = line.split()
        started = time.perf_counter()
        dtype_to_pipeline[dtype](texts, batch_size=int(batch_size), truncation=True)
        print(time.perf_counter() - started, flush=True)


def pipeline(checkpoint: str, dtype: str) -> transformers.TextClassificationPipeline:
    """The checkpoint's pipeline, which computes in a dtype of torch."""
    return transformers.pipeline(
        "text-classification", model=checkpoint, device="cpu", dtype=getattr(torch, dtype)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
