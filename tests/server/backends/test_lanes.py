"""Requests run side by side in lanes, large ones in pieces that take turns with others."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from bertriton_server import LocalServer, ModelsNotReadyError, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Repository

    from bertriton_server import Runtime

MICRO_BATCH = 8
LANES = 2
FIRST_NUMBER_THAT_FAILS = 9999
# Gives back its numbers, and beside each how many ran together; fails on large ones.
ROWS_OF_THE_RUN = """
rows_of_the_run (int32[t] x) => (int32[t, 1] y, int32[t, 1] size) {
    column = Constant <value = int64[2] {-1, 1}> ()
    limit = Constant <value = int64[1] {9999}> ()
    table = ConstantOfShape <value = int32[1] {0}> (limit)
    zeros = Gather(table, x)
    sum = Add(x, zeros)
    y = Reshape(sum, column)
    length = Shape(x)
    short = Cast <to = 6> (length)
    sizes = Add(zeros, short)
    size = Reshape(sizes, column)
}
"""
# Gives back its numbers, after a while: numbers drawn at random are drawn anew in each run.
SLOW = """
slow (int32[t] x) => (int32[t, 1] y) {
    drawn = RandomNormal <shape = [500000]> ()
    zero = Constant <value = float {0.0}> ()
    nothing = Mul(drawn, zero)
    sum = ReduceSum <keepdims = 0> (nothing)
    whole = Cast <to = 6> (sum)
    same = Add(x, whole)
    column = Constant <value = int64[2] {-1, 1}> ()
    y = Reshape(same, column)
}
"""
CONFIG: dict[str, Any] = {
    "max_batch_size": 64,
    "input": [{"name": "x", "data_type": "TYPE_INT32", "dims": [1], "allow_ragged_batch": True}],
    "output": [
        {"name": "y", "data_type": "TYPE_INT32", "dims": [1]},
        {"name": "size", "data_type": "TYPE_INT32", "dims": [1]},
    ],
    "parameters": {
        "micro_batch_elements": {"string_value": str(MICRO_BATCH)},
        "intra_op_thread_count": {"string_value": str(LANES)},
    },
}


@pytest.fixture(scope="module")
def client(module_repository: Repository, runtime: Runtime) -> Iterator[triton.InferenceServerClient]:
    batching = {"preferred_batch_size": [64], "max_queue_delay_microseconds": 100_000}
    module_repository.add("lanes", ROWS_OF_THE_RUN, **CONFIG, dynamic_batching=batching)
    config = ServerConfig(module_repository.path, stop_grace_s=0)
    with (
        LocalServer(config, runtime=runtime) as server,
        triton.InferenceServerClient(server.grpc_url) as found,
    ):
        yield found


def infer(client: triton.InferenceServerClient, values: list[int], *outputs: str) -> triton.InferResult:
    array = np.array(values, np.int32)[:, None]
    tensor = triton.InferInput("x", array.shape, "INT32")
    tensor.set_data_from_numpy(array)
    wanted = [triton.InferRequestedOutput(name) for name in outputs] or None
    return client.infer("lanes", [tensor], outputs=wanted, client_timeout=120)


def ask(client: triton.InferenceServerClient, values: list[int]) -> tuple[list[int], list[int]]:
    """The numbers as they came back, and how many shared a run with each."""
    answer = infer(client, values)
    return answer.as_numpy("y")[:, 0].tolist(), answer.as_numpy("size")[:, 0].tolist()


def test_a_large_request_runs_in_pieces_and_comes_back_whole(client: triton.InferenceServerClient) -> None:
    values, sizes = ask(client, list(range(50)))

    assert list(range(50)) == values
    assert max(sizes) <= MICRO_BATCH
    assert len(set(sizes)) > 1  # the last piece is smaller


def test_one_row_has_a_run_of_its_own(client: triton.InferenceServerClient) -> None:
    assert ask(client, [1]) == ([1], [1])


def test_a_request_alone_is_spread_over_the_lanes(client: triton.InferenceServerClient) -> None:
    assert ask(client, [1, 2, 3, 4]) == ([1, 2, 3, 4], [2, 2, 2, 2])


def test_every_request_gets_the_outputs_that_it_asked_for(client: triton.InferenceServerClient) -> None:
    def names(outputs: tuple[str, ...]) -> set[str]:
        answer = infer(client, list(range(30)), *outputs).get_response(as_json=True)
        return {output["name"] for output in answer["outputs"]}

    asked = [("y",), ("size",), ("y", "size")] * 10
    with ThreadPoolExecutor(len(asked)) as pool:
        answered = list(pool.map(names, asked))

    assert list(map(set, asked)) == answered


def test_requests_of_all_sizes_get_their_own_rows(client: triton.InferenceServerClient) -> None:
    starts = itertools.count(0, 100)
    requests = [
        list(range(start, start + length))
        for start, length in zip(starts, [64, 1, 9, 2, 33, 8, 1] * 6, strict=False)
    ]

    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda values: ask(client, values), requests))

    assert requests == [values for values, _ in answers]
    assert max(size for _, sizes in answers for size in sizes) <= MICRO_BATCH


def test_lanes_are_refused_where_rows_do_not_stand_alone(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    count = {
        "kind": "BATCH_ELEMENT_COUNT",
        "target_name": ["n"],
        "data_type": "TYPE_INT32",
        "source_input": ["x"],
    }
    network = ROWS_OF_THE_RUN.replace("(int32[t] x)", "(int32[t] x, int32[r] n)")
    repository.add("lanes", network, **CONFIG, batch_input=[count])

    with pytest.raises(ModelsNotReadyError, match=r"of batch_input .* alone"), make_server():
        pass


def test_a_request_that_fails_does_not_fail_those_it_shares_a_run_with(
    client: triton.InferenceServerClient,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(ask, client, list(range(20))) for _ in range(6)]
        bad = pool.submit(ask, client, [1, 2, FIRST_NUMBER_THAT_FAILS])

    assert all(request.result()[0] == list(range(20)) for request in good)
    with pytest.raises(InferenceServerException, match="indices element out of data bounds"):
        bad.result()


def test_a_large_request_that_fails_leaves_room_for_the_next(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    # Every row is a piece: more than may wait, and all of them go with the first refusal.
    one_by_one = CONFIG | {
        "parameters": CONFIG["parameters"] | {"micro_batch_elements": {"string_value": "1"}}
    }
    repository.add("lanes", ROWS_OF_THE_RUN, **one_by_one)

    with make_server() as server, triton.InferenceServerClient(server.grpc_url) as client:
        for _ in range(3):
            with pytest.raises(InferenceServerException, match="indices element out of data bounds"):
                ask(client, [FIRST_NUMBER_THAT_FAILS] * 64)

        assert ask(client, [1])[0] == [1]


def test_a_small_request_does_not_wait_for_the_large_ones_before_it(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    one_by_one = CONFIG | {
        "parameters": CONFIG["parameters"] | {"micro_batch_elements": {"string_value": "1"}},
        "output": CONFIG["output"][:1],
    }
    repository.add("lanes", SLOW, **one_by_one)
    large = list(range(64))

    with (
        make_server() as server,
        triton.InferenceServerClient(server.grpc_url) as client,
        ThreadPoolExecutor(6) as pool,
    ):
        before = [pool.submit(infer, client, large) for _ in range(6)]
        next(as_completed(before))  # all others have come by then
        infer(client, [1])
        left = [request for request in before if not request.done()]

        assert len(left) >= 3
        assert all(request.result().as_numpy("y")[:, 0].tolist() == large for request in before)
