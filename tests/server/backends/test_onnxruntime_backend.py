"""The stand-in for Triton's ONNX Runtime backend: the same configs mean the same."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from conftest import Repository

    from bertriton_server import Runtime

    Array = npt.NDArray[Any]

DEADLINE_S = 120.0
SETTLE_S = 0.2
# Long enough for all requests of a test to arrive; a full batch ends it early.
MERGE_DELAY_US = 2_000_000


def merged(rows: int) -> dict[str, Any]:
    """Config fields: requests wait until a batch has so many rows."""
    queue = {"preferred_batch_size": [rows], "max_queue_delay_microseconds": MERGE_DELAY_US}
    return {"max_batch_size": rows, "dynamic_batching": queue}


def tensor(name: str, data_type: str, *dims: int, **fields: object) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{data_type}", "dims": list(dims), **fields}


def batch_input(name: str, kind: str, data_type: str = "INT32") -> dict[str, Any]:
    return {"kind": kind, "target_name": [name], "data_type": f"TYPE_{data_type}", "source_input": ["x"]}


# Sums the numbers of each row, which comes out right only if the lengths of all rows are.
ROW_SUMS = """
row_sums (float[t] x, int32[r] lengths) => (float[r, 1] sums) {
    nothing = Constant <value = float[1] {0}> ()
    axis = Constant <value = int64 {0}> ()
    column = Constant <value = int64[2] {-1, 1}> ()
    running = CumSum(x, axis)
    sums_before = Concat <axis = 0> (nothing, running)
    sizes = Cast <to = 7> (lengths)
    ends = CumSum(sizes, axis)
    starts = Sub(ends, sizes)
    before = Gather(sums_before, starts)
    after = Gather(sums_before, ends)
    own = Sub(after, before)
    sums = Reshape(own, column)
}
"""
ROW_SUMS_CONFIG: dict[str, Any] = {
    "input": [tensor("x", "FP32", -1, allow_ragged_batch=True)],
    "batch_input": [batch_input("lengths", "BATCH_ITEM_SHAPE_FLATTEN")],
    "output": [tensor("sums", "FP32", 1)],
}
# Gives every row of the batch all that one batch input holds.
ECHO = """
echo (float[t] x, {type}[{shape}] asked, int32[r, d] shapes) => ({type}[r, n] told) {{
    zero = Constant <value = int64[1] {{0}}> ()
    one = Constant <value = int64[1] {{1}}> ()
    one_row = Constant <value = int64[2] {{1, -1}}> ()
    in_a_row = Reshape(asked, one_row)
    size = Shape(shapes)
    rows = Slice(size, zero, one)
    repeats = Concat <axis = 0> (rows, one)
    told = Tile(in_a_row, repeats)
}}
"""
LOOKUP = """
lookup (int32[b, n] ids) => (float[b, n] found) {
    table = Constant <value = float[3] {10, 20, 30}> ()
    found = Gather(table, ids)
}
"""
TWO_OUTPUTS = """
two (float[b, n] x) => (float[b, n] twice, float[b, n] half) {
    two = Constant <value = float {2}> ()
    twice = Mul(x, two)
    half = Div(x, two)
}
"""
TWICE_EACH = "each (float[t] x) => (float[t] y) { y = Add(x, x) }"
SAME_TEXT = "same (string[b, n] text) => (string[b, n] same) { same = Identity(text) }"
MEAN = "mean (float[b, n] x) => (float[b] mean) { mean = ReduceMean <axes = [1], keepdims = 0> (x) }"


def add_batch_input_models(repository: Repository) -> None:
    """One model for each kind of batch input, which tells what it was given."""
    for kind, data_type, shape in (
        ("BATCH_ELEMENT_COUNT", "INT32", "a"),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT", "FP32", "a"),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", "INT32", "a"),
        ("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", "INT32", "a"),
        ("BATCH_ITEM_SHAPE", "INT32", "a, b"),
        ("BATCH_ITEM_SHAPE_FLATTEN", "FP32", "a"),
    ):
        element = {"INT32": "int32", "FP32": "float"}[data_type]
        repository.add(
            kind.lower(),
            ECHO.format(type=element, shape=shape),
            input=[tensor("x", "FP32", -1, -1, allow_ragged_batch=True)],
            batch_input=[batch_input("asked", kind, data_type), batch_input("shapes", "BATCH_ITEM_SHAPE")],
            output=[tensor("told", data_type, -1)],
            **merged(4),
        )


def add_models(repository: Repository) -> None:
    """Everything that the server of this file serves."""
    repository.add("ragged", ROW_SUMS, **ROW_SUMS_CONFIG, **merged(8))
    repository.add("double", **merged(4))
    repository.add(
        "lookup",
        LOOKUP,
        input=[tensor("ids", "INT32", 1)],
        output=[tensor("found", "FP32", 1)],
        **merged(3),
    )
    repository.add(
        "two_outputs",
        TWO_OUTPUTS,
        input=[tensor("x", "FP32", -1)],
        output=[tensor("twice", "FP32", -1), tensor("half", "FP32", -1)],
        **merged(2),
    )
    repository.add(
        "scattered",
        TWICE_EACH,
        input=[tensor("x", "FP32", -1, allow_ragged_batch=True)],
        output=[tensor("y", "FP32", -1)],
        batch_output=[
            {"kind": "BATCH_SCATTER_WITH_INPUT_SHAPE", "target_name": ["y"], "source_input": ["x"]}
        ],
        **merged(3),
    )
    repository.add(
        "same_text",
        SAME_TEXT,
        input=[tensor("text", "STRING", 1)],
        output=[tensor("same", "STRING", 1)],
        **merged(2),
    )
    repository.add(
        "mean",
        MEAN,
        input=[tensor("x", "FP32", -1)],
        output=[tensor("mean", "FP32", 1, reshape={"shape": []})],
        max_batch_size=2,
    )


@pytest.fixture(scope="module")
def server(runtime: Runtime, module_repository: Repository) -> Iterator[LocalServer]:
    add_models(module_repository)
    add_batch_input_models(module_repository)
    with LocalServer(ServerConfig(module_repository.path, stop_grace_s=0), runtime=runtime) as server:
        yield server


@pytest.fixture
def client(server: LocalServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc_url) as client:
        yield client


def to_input(name: str, array: Array) -> triton.InferInput:
    sent = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    sent.set_data_from_numpy(array)
    return sent


def ask(client: triton.InferenceServerClient, model: str, name: str, array: Array) -> triton.InferResult:
    return client.infer(model, [to_input(name, array)], client_timeout=DEADLINE_S)


def ask_at_once(
    client: triton.InferenceServerClient, model: str, name: str, arrays: list[Array]
) -> list[triton.InferResult | triton.InferenceServerException]:
    """The answers to requests that are under way together, and the errors of those that failed."""
    with ThreadPoolExecutor(len(arrays)) as pool:
        futures = [pool.submit(ask, client, model, name, array) for array in arrays]
    return [future.exception() or future.result() for future in futures]


def counts(client: triton.InferenceServerClient, model: str) -> tuple[int, int]:
    """Rows answered and runs of the network so far; Triton counts a moment after it has answered."""
    before = None
    while True:
        statistics = client.get_inference_statistics(model).model_stats[0]
        now = (statistics.inference_count, statistics.execution_count)
        if now == before:
            return now
        before = now
        time.sleep(SETTLE_S)


def numbers(*shape: int) -> Array:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_requests_of_one_shape_share_one_run(client: triton.InferenceServerClient) -> None:
    arrays = [numbers(1, 3), numbers(2, 3) * 10, numbers(1, 3) * 100]
    rows_before, runs_before = counts(client, "double")

    answers = ask_at_once(client, "double", "x", arrays)

    for array, answer in zip(arrays, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("y"), 2 * array)
    assert counts(client, "double") == (rows_before + 4, runs_before + 1)


def test_ragged_requests_of_unequal_lengths_share_one_run(client: triton.InferenceServerClient) -> None:
    arrays = [numbers(1, length) for length in (1, 200, 3, 57, 5, 90, 13, 2)]
    rows_before, runs_before = counts(client, "ragged")

    answers = ask_at_once(client, "ragged", "x", arrays)

    for array, answer in zip(arrays, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("sums"), [[array.sum()]])
    assert counts(client, "ragged") == (rows_before + 8, runs_before + 1)


def test_ragged_requests_may_have_many_rows(client: triton.InferenceServerClient) -> None:
    arrays = [numbers(2, 7), numbers(1, 30), numbers(5, 3)]
    runs_before = counts(client, "ragged")[1]

    answers = ask_at_once(client, "ragged", "x", arrays)

    for array, answer in zip(arrays, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("sums"), array.sum(axis=1, keepdims=True))
    assert counts(client, "ragged")[1] == runs_before + 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BATCH_ELEMENT_COUNT", [[6], [8], [10]]),
        ("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", [[0] * 10]),
        ("BATCH_ITEM_SHAPE", [[3, 2], [2, 2], [2, 2], [1, 10]]),
        ("BATCH_ITEM_SHAPE_FLATTEN", [[3, 2], [2, 2], [2, 2], [1, 10]]),
    ],
)
def test_batch_inputs_tell_the_shapes_of_all_requests(
    client: triton.InferenceServerClient, kind: str, expected: list[list[int]]
) -> None:
    arrays = [numbers(1, 3, 2), numbers(2, 2, 2), numbers(1, 1, 10)]

    answers = ask_at_once(client, kind.lower(), "x", arrays)

    for array, answer in zip(arrays, answers, strict=True):
        rows = answer.as_numpy("told")
        assert len(rows) == len(array)
        for row in rows:
            # Requests that are under way together arrive in any order.
            assert sorted(row.reshape(-1, len(expected[0])).tolist()) == sorted(expected)


@pytest.mark.parametrize(
    ("kind", "start"),
    [("BATCH_ACCUMULATED_ELEMENT_COUNT", []), ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0])],
)
def test_accumulated_counts_tell_where_each_request_ends(
    client: triton.InferenceServerClient, kind: str, start: list[int]
) -> None:
    arrays = [numbers(1, 3, 2), numbers(2, 2, 2), numbers(1, 1, 10)]

    answers = ask_at_once(client, kind.lower(), "x", arrays)

    orders = [start + np.cumsum(order).tolist() for order in itertools.permutations([6, 8, 10])]
    for row in np.concatenate([answer.as_numpy("told") for answer in answers]):
        assert row.tolist() in orders


def test_a_scattered_output_has_the_shape_of_its_input(client: triton.InferenceServerClient) -> None:
    arrays = [numbers(1, 5), numbers(1, 2), numbers(1, 9)]
    runs_before = counts(client, "scattered")[1]

    answers = ask_at_once(client, "scattered", "x", arrays)

    for array, answer in zip(arrays, answers, strict=True):
        np.testing.assert_array_equal(answer.as_numpy("y"), 2 * array)
    assert counts(client, "scattered")[1] == runs_before + 1


def test_a_bad_request_does_not_fail_its_neighbours(client: triton.InferenceServerClient) -> None:
    ids = [np.array([[value]], dtype=np.int32) for value in (0, 99, 2)]

    first, bad, last = ask_at_once(client, "lookup", "ids", ids)

    assert first.as_numpy("found").tolist() == [[10.0]]
    assert last.as_numpy("found").tolist() == [[30.0]]
    assert isinstance(bad, triton.InferenceServerException)
    assert "onnxruntime: " in bad.message()
    assert "idx=99 must be within" in bad.message()


def test_text_passes_unchanged_and_what_is_no_utf8_fails_alone(client: triton.InferenceServerClient) -> None:
    texts = [np.array([[text]], dtype=np.object_) for text in ("naïve ☕".encode(), b"\xff")]

    good, bad = ask_at_once(client, "same_text", "text", texts)

    assert good.as_numpy("same").tolist() == [["naïve ☕".encode()]]
    assert isinstance(bad, triton.InferenceServerException)
    assert "can't decode byte 0xff" in bad.message()


def test_each_request_gets_the_outputs_it_asked_for(client: triton.InferenceServerClient) -> None:
    def ask_for(*names: str) -> triton.InferResult:
        outputs = [triton.InferRequestedOutput(name) for name in names]
        return client.infer("two_outputs", [to_input("x", numbers(1, 2))], outputs=outputs)

    with ThreadPoolExecutor(2) as pool:
        half = pool.submit(ask_for, "half")
        both = pool.submit(ask_for, "twice", "half")

    assert half.result().as_numpy("twice") is None
    assert half.result().as_numpy("half").tolist() == [[0.5, 1.0]]
    assert both.result().as_numpy("twice").tolist() == [[2.0, 4.0]]
    assert both.result().as_numpy("half").tolist() == [[0.5, 1.0]]


def test_an_output_is_reshaped_to_what_the_config_says(client: triton.InferenceServerClient) -> None:
    assert ask(client, "mean", "x", numbers(2, 3)).as_numpy("mean").tolist() == [[2.0], [5.0]]
