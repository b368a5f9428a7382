"""CTranslate2 with int8: token ids in, sorted by length, no server.

    .venv-torch/bin/python bench/comparisons/contenders/ctranslate2_int8.py CHECKPOINT TEXTS.json CACHE

It has BERT's encoder and pooler, but no classifier behind them, whose one small product is NumPy's here. The
model is kept in CACHE and read from there the next time.
"""

from __future__ import annotations

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import ctranslate2
import numpy as np
import transformers
from ctranslate2.converters import TransformersConverter
from line_protocol import MAX_LENGTH, answer_lines, batches, by_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCHES = (1, 8, 32)
CORES = len(os.sched_getaffinity(0))
# Workers and threads of each.
LAYOUTS = {"a batch on every core": (CORES, 1), "a batch on all cores": (1, CORES)}
COMPUTE_TYPE = "int8"  # the rest in float32


class CTranslate2:
    """The encoder in both layouts, and the classifier."""

    def __init__(self, checkpoint: str, cache: str) -> None:
        self.versions = f"ctranslate2 {ctranslate2.__version__}"
        pairs = itertools.product(LAYOUTS, BATCHES)
        self.settings = [f"{layout}, batch {batch}" for layout, batch in pairs]
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
        self._label_of = transformers.AutoConfig.from_pretrained(checkpoint).id2label
        folder = Path(cache) / "ctranslate2-int8"
        if not folder.exists():
            convert(checkpoint, folder)
        head = np.load(folder / "head.npz")
        self._weight, self._bias = head["weight"], head["bias"]
        self._layout_to_encoder = {
            layout: ctranslate2.Encoder(
                str(folder),
                device="cpu",
                compute_type=COMPUTE_TYPE,
                inter_threads=workers,
                intra_threads=threads,
            )
            for layout, (workers, threads) in LAYOUTS.items()
        }

    def prepare(self, texts: Sequence[str], setting: str) -> Callable[[], list[str]]:
        """See `line_protocol.Contender`."""
        layout, batch = setting.split(", batch ")
        ids = self._tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH)["input_ids"]
        runs = batches(by_length(ids), int(batch))
        encoder = self._layout_to_encoder[layout]
        winners = np.zeros(len(texts), np.int64)

        def encode(run: Sequence[int]) -> None:
            found = encoder.forward_batch([list(ids[index]) for index in run])
            pooled = np.asarray(found.pooler_output)
            winners[list(run)] = (pooled @ self._weight.T + self._bias).argmax(axis=1)

        def classify() -> list[str]:
            with ThreadPoolExecutor(LAYOUTS[layout][0]) as pool:
                list(pool.map(encode, runs))
            return [self._label_of[winner] for winner in winners.tolist()]

        return classify


def convert(checkpoint: str, folder: Path) -> None:
    """Write the encoder in int8, and its classifier beside it."""
    unfinished = folder.with_name(f"{folder.name}-unfinished")
    TransformersConverter(checkpoint).convert(str(unfinished), quantization="int8", force=True)
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint).classifier
    weight, bias = (tensor.detach().float().numpy() for tensor in (classifier.weight, classifier.bias))
    np.savez(unfinished / "head.npz", weight=weight, bias=bias)
    unfinished.rename(folder)


if __name__ == "__main__":
    answer_lines(sys.argv[2], lambda: CTranslate2(sys.argv[1], sys.argv[3]))
