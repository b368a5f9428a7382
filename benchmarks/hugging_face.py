"""The Hugging Face pipeline, in the environment of its own that has torch: asked by line, answers by line.

    python benchmarks/hugging_face.py CHECKPOINT TEXTS.json

Each line of standard input is a batch size; each line of the answer the seconds that all texts took. Another
program asks, so that the pipeline and what it is compared with take turns.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
import transformers

WARM_UP_TEXTS = 2


def main(checkpoint: str, texts_file: str) -> None:
    """Answer until standard input ends."""
    texts = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    transformers.logging.set_verbosity_error()
    classify = transformers.pipeline("text-classification", model=checkpoint, framework="pt", device="cpu")
    classify(texts[:WARM_UP_TEXTS], truncation=True)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        classify(texts, batch_size=int(line), truncation=True)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
