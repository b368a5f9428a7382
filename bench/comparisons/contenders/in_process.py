"""An exported graph in ONNX Runtime without a server: what serving is measured against."""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from google.protobuf import text_format
from tokenizers import Encoding, Tokenizer
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract
from bertriton_export.verification import packed_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_LENGTH = 512
# Of the network's config.pbtxt, as Triton's ONNX Runtime backend reads it; without it all cores are used.
THREADS_PARAMETER = "intra_op_thread_count"


class InProcess:
    """The tokenizer and the network of one classifier in a model repository, on the server's threads."""

    def __init__(self, repository: Path, name: str) -> None:
        self.tokenizer = Tokenizer.from_file(
            str(repository / (name + contract.TOKENIZER_SUFFIX) / "1" / "tokenizer.json")
        )
        self.tokenizer.enable_truncation(MAX_LENGTH)
        network = repository / (name + contract.BERT_SUFFIX)
        self.threads = configured_threads(network / "config.pbtxt") or os.cpu_count() or 1
        self.session = open_session(network / "1" / "model.onnx", self.threads)
        self.session_of_one_thread = open_session(network / "1" / "model.onnx", 1)

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Texts as the network reads them."""
        return self.tokenizer.encode_batch(list(texts))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before truncation."""
        self.tokenizer.no_truncation()
        counts = [len(encoding.ids) for encoding in self.encode(texts)]
        self.tokenizer.enable_truncation(MAX_LENGTH)
        return counts

    def probabilities(self, encodings: Sequence[Encoding]) -> np.ndarray:
        """Probabilities [texts, labels] of one batch."""
        return np.asarray(self.session.run([contract.PROBABILITIES], packed_inputs(encodings))[0])

    def seconds(self, encodings: Sequence[Encoding], batch_size: int) -> float:
        """How long all of them take, in batches one after the other, each on all threads."""
        started = time.perf_counter()
        for start in range(0, len(encodings), batch_size):
            self.probabilities(encodings[start : start + batch_size])
        return time.perf_counter() - started

    def seconds_side_by_side(self, encodings: Sequence[Encoding], batch_size: int) -> float:
        """How long all of them take, in as many batches at a time as there are threads, each on one."""

        def run(start: int) -> None:
            inputs = packed_inputs(encodings[start : start + batch_size])
            self.session_of_one_thread.run([contract.PROBABILITIES], inputs)

        with ThreadPoolExecutor(self.threads) as pool:
            started = time.perf_counter()
            list(pool.map(run, range(0, len(encodings), batch_size)))
            return time.perf_counter() - started

    def p50_ms(self, text: str, runs: int) -> float:
        """Median of tokenising and classifying one text."""
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            self.probabilities(self.encode([text]))
            times.append(time.perf_counter() - started)
        return statistics.median(times) * 1e3

    def text_of(self, tokens: int, text: str) -> str:
        """The first words of a text that are exactly so many tokens; the last are left out where need be."""
        words: list[str] = []
        for word in text.split():
            if self.count_tokens([" ".join([*words, word])])[0] <= tokens:
                words.append(word)
        return " ".join(words)


def open_session(onnx_file: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on so many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])


def configured_threads(config_file: Path) -> int:
    """Threads that the server gives the network; 0: as many as there are cores."""
    config = text_format.Parse(config_file.read_text(encoding="utf-8"), ModelConfig())
    return int(config.parameters[THREADS_PARAMETER].string_value or 0)
