"""A text's answer is the same bits on one thread and on several: the server uses now one, now all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bertriton import contract
from bertriton_export import export

CHECKPOINT = Path(__file__).parent.parent.parent / "checkpoints" / "imdb-minilm"
LENGTHS = (3, 4, 7, 15, 16, 17, 31, 33, 63, 64, 65, 97, 128, 131, 200, 255, 257, 300, 384, 411, 511, 512)
THREADS = (1, 2, 3)


@pytest.fixture(scope="module", params=["int8", "fp32"])
def onnx_file(
    request: pytest.FixtureRequest, exported_imdb: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    repository = exported_imdb
    if request.param == "fp32":
        repository = tmp_path_factory.mktemp("fp32")
        export(CHECKPOINT, name="imdb", repository=repository, precision="fp32")
    return repository / "imdb_bert" / "1" / "model.onnx"


def session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def test_logits_are_the_same_bits_on_any_number_of_threads(onnx_file: Path) -> None:
    sessions = [session(onnx_file, threads) for threads in THREADS]
    random = np.random.default_rng(0)

    for length in LENGTHS:
        inputs = {
            contract.INPUT_IDS: random.integers(1000, 30_000, length).astype(np.int32),
            contract.TOKEN_TYPE_IDS: np.zeros(length, np.int32),
            contract.POSITION_IDS: np.arange(length, dtype=np.int32),
        }
        inputs |= {f"{name}_shapes": np.array([1, length], np.int32) for name in inputs}
        answers = [one.run([contract.LOGITS], inputs)[0].tobytes() for one in sessions]
        assert len(set(answers)) == 1, f"{length} tokens"
