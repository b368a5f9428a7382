"""What this machine's int8 products reach at most: large MatMulIntegers, and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence

# Rows, inner and outer size, in the order of M, K, N; which is fastest depends on caches.
SHAPES = ((512, 768, 3072), (1024, 1024, 4096), (2048, 2048, 2048))
OPSET = 17
IR_VERSION = 8


class Int8Ceiling:
    """A product a shape, on so many threads."""

    def __init__(self, threads: int) -> None:
        self._shape_to_run = {str(shape): _Product(shape, threads) for shape in SHAPES}

    @property
    def settings(self) -> list[str]:
        """The shapes."""
        return list(self._shape_to_run)

    def gops(self, setting: str, seconds: float) -> float:
        """Billions of operations a second, a multiplication and an addition counted as two."""
        product = self._shape_to_run[setting]
        runs, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds or not runs:
            product.run()
            runs += 1
        return runs * product.operations / passed / 1e9


class _Product:
    def __init__(self, shape: Sequence[int], threads: int) -> None:
        rows, inner, columns = shape
        self.operations = 2 * rows * inner * columns
        random = np.random.default_rng(0)
        weights = random.integers(-127, 127, (inner, columns), np.int8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            _model(rows, weights), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {"activations": random.integers(0, 255, (rows, inner), np.uint8)}
        self.run()

    def run(self) -> None:
        self._session.run(None, self._inputs)


def _model(rows: int, weights: np.ndarray) -> bytes:
    inner, columns = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["activations", "weights"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("activations", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
