"""Run an exported graph in ONNX Runtime, on tokenised texts packed or padded as Triton hands them over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from bertriton import contract
from bertriton_export.cpus import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint

# Enough for full speed; more would only cost memory.
TOKENS_PER_RUN: Final = 1024
# Threads of one run wait for each other at every operator: two runs of one thread each take a tenth less time
# than one after the other on two threads. Each needs memory of its own, so there are few.
MAX_RUNS_AT_ONCE: Final = 4


class GraphSession:
    """One ONNX file, ready to run on this machine's CPU.

    Args:
        onnx_file: the graph.
        for_int8: whether weights are copied into the order that kernels read them in. Without, products in
            int8 take three times as long; those in fp32 gain little by it, and their copy is large.
        runs_at_once: batches that run side by side, each on its share of the cores.
    """

    def __init__(self, onnx_file: Path, *, for_int8: bool = False, runs_at_once: int = 1) -> None:
        self._runs_at_once = runs_at_once
        # 0 is as many as there are cores.
        threads = max(1, usable_cpus() // runs_at_once) if runs_at_once > 1 else 0
        self._session = open_session(onnx_file, for_int8=for_int8, threads=threads)
        self._is_padded = len(self._session.get_inputs()[0].shape) > 1

    def logits(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Logits [texts, labels], all texts in one batch."""
        return self._run(contract.LOGITS, encodings)

    def probabilities(
        self, encodings: Sequence[Encoding], on_progress: Callable[[float], object] = float
    ) -> NDArray[np.float32]:
        """Probabilities [texts, labels], in batches; `on_progress` gets the share done."""
        parts: list[NDArray[np.float32]] = []
        batches = _batches(encodings, is_padded=self._is_padded)
        with ThreadPoolExecutor(self._runs_at_once) as threads:
            for part in threads.map(partial(self._run, contract.PROBABILITIES), batches):
                parts.append(part)
                on_progress(sum(map(len, parts)) / len(encodings))
        return np.concatenate(parts)

    def _run(self, output: str, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        inputs = padded_inputs if self._is_padded else packed_inputs
        return np.asarray(self._session.run([output], inputs(encodings))[0])


def runs_at_once() -> int:
    """Batches that should run side by side where there are several."""
    return min(usable_cpus(), MAX_RUNS_AT_ONCE)


def open_session(
    onnx_file: Path, *, for_int8: bool = False, threads: int = 0
) -> onnxruntime.InferenceSession:
    """A session for a few runs, for which neither pooled buffers nor a copy of all fp32 weights pay."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.disable_prepacking", "0" if for_int8 else "1")
    options.enable_cpu_mem_arena = False
    # Q/DQ pairs are computed as they are written, not by kernels that round otherwise on some CPUs.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])


def encode(checkpoint: Checkpoint, texts: Sequence[str]) -> list[Encoding]:
    """Tokenise texts as the server does, cut to the model's length."""
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    return tokenizer.encode_batch(list(texts))


def packed_inputs(encodings: Sequence[Encoding]) -> dict[str, NDArray[Any]]:
    """The graph's inputs for tokenised texts: all tokens one after the other, each [T] INT32, and shapes."""
    shapes = np.array([[1, len(encoding.ids)] for encoding in encodings], np.int32).reshape(-1)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    return {name + contract.SHAPES_SUFFIX: shapes for name in names} | {
        contract.INPUT_IDS: _packed([encoding.ids for encoding in encodings]),
        contract.TOKEN_TYPE_IDS: _packed([encoding.type_ids for encoding in encodings]),
        contract.POSITION_IDS: _packed([range(len(encoding.ids)) for encoding in encodings]),
    }


def padded_inputs(encodings: Sequence[Encoding]) -> dict[str, NDArray[Any]]:
    """A padded graph's inputs for tokenised texts: a row a text, each [R, longest] INT32."""
    return {
        contract.INPUT_IDS: _padded([encoding.ids for encoding in encodings], 0),
        contract.TOKEN_TYPE_IDS: _padded([encoding.type_ids for encoding in encodings], 0),
        contract.POSITION_IDS: _padded(
            [range(len(encoding.ids)) for encoding in encodings], contract.PADDING_POSITION
        ),
    }


def _padded(rows: Sequence[Sequence[int]], padding: int) -> NDArray[np.int32]:
    array = np.full((len(rows), max(map(len, rows))), padding, np.int32)
    for values, row in zip(rows, array, strict=True):
        row[: len(values)] = values
    return array


def _packed(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    return np.concatenate([np.asarray(row, np.int32) for row in rows])


def _batches(encodings: Sequence[Encoding], *, is_padded: bool) -> Iterator[list[Encoding]]:
    """Texts in batches of at most TOKENS_PER_RUN, padding counted, or of one text."""
    batch: list[Encoding] = []
    for encoding in encodings:
        lengths = [len(one.ids) for one in (*batch, encoding)]
        tokens = max(lengths) * len(lengths) if is_padded else sum(lengths)
        if batch and tokens > TOKENS_PER_RUN:
            yield batch
            batch = []
        batch.append(encoding)
    yield batch
