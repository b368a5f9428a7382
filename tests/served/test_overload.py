"""More than the server gets done, on a real Triton: no stalls before it, quick refusals, nothing kept."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, service_pb2, service_pb2_grpc

from bertriton import Client, contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer

pytestmark = pytest.mark.any_server
NAME = "imdb"
BURST = 1200
LONG_TEXT = b"a film that takes its time, and takes it well " * 45
SOON_S = 0.4  # at which Triton's own queue would begin to look again, if it had a limit
CALLS = 150
DEADLINE_S = 0.3
PATIENCE_S = 60.0


def message(text: bytes, timeout_s: float = 0) -> Any:
    tensor = InferInput(contract.TEXT, [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text]], np.object_))
    request = service_pb2.ModelInferRequest(model_name=NAME)
    request.inputs.add(name=contract.TEXT, datatype="BYTES", shape=[1, 1])
    request.raw_input_contents.append(tensor._get_content())  # noqa: SLF001 - as tritonclient itself does
    request.parameters["timeout"].int64_param = int(timeout_s * 1e6)
    return request


def outcomes(stub: Any, request: Any, count: int) -> Counter[str]:
    """How so many calls at once end."""
    codes: Counter[str] = Counter()
    lock, is_over = threading.Lock(), threading.Event()

    def note(call: Any) -> None:
        with lock:
            codes[call.code().name] += 1
            if codes.total() == count:
                is_over.set()

    for _ in range(count):
        stub.ModelInfer.future(request, timeout=PATIENCE_S).add_done_callback(note)
    assert is_over.wait(PATIENCE_S)
    return codes


def texts_of_the_network(server: LocalServer) -> int:
    """How many rows the network has computed."""
    with urllib.request.urlopen(server.metrics_url) as answer:
        found = re.search(rf'nv_inference_count{{model="{NAME}_bert"[^}}]*}} (\d+)', answer.read().decode())
    assert found is not None
    return int(found[1])


@pytest.fixture(scope="module")
def stub(imdb_server: LocalServer) -> Iterator[Any]:
    with grpc.insecure_channel(imdb_server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.timed
@pytest.mark.parametrize("clients", [1, 3])
def test_few_clients_never_wait_half_a_second(imdb_server: LocalServer, clients: int) -> None:
    """Of requests that meet a busy network, Triton would let one in ten wait for its next look."""
    late: list[float] = []

    def call() -> None:
        with Client(imdb_server.grpc_url, NAME) as client:
            for _ in range(CALLS // clients):
                started_s = time.monotonic()
                client.classify("a film like any other")
                late.append(time.monotonic() - started_s)

    threads = [threading.Thread(target=call) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(late) == CALLS // clients * clients
    # A busy machine may hold up one call or two, the queue held up many.
    assert sum(took_s > SOON_S for took_s in late) <= CALLS // 50


def test_a_burst_is_answered_or_refused_and_leaves_nothing(imdb_server: LocalServer, stub: Any) -> None:
    before = texts_of_the_network(imdb_server)

    codes = outcomes(stub, message(b"a film like any other"), BURST)
    stub.ModelInfer(message(b"the next one"), timeout=PATIENCE_S)
    given_up_s = time.monotonic() + PATIENCE_S

    assert codes.keys() <= {"OK", "UNAVAILABLE"}
    assert codes["OK"] > BURST / 4
    # Triton counts a batch when its call is over, which is after the answers are sent.
    while texts_of_the_network(imdb_server) - before <= codes["OK"]:
        assert time.monotonic() < given_up_s
        time.sleep(0.05)
    assert texts_of_the_network(imdb_server) - before == codes["OK"] + 1


@pytest.mark.timed
def test_after_a_burst_the_next_is_answered_within_two_seconds(stub: Any) -> None:
    outcomes(stub, message(b"a film like any other"), BURST)
    started_s = time.monotonic()

    stub.ModelInfer(message(b"the next one"), timeout=PATIENCE_S)

    assert time.monotonic() - started_s < 2


def test_what_is_late_is_dropped_before_the_network_computes_it(imdb_server: LocalServer, stub: Any) -> None:
    count = 200  # fewer than may wait, so that none is refused for that
    before = texts_of_the_network(imdb_server)

    codes = outcomes(stub, message(LONG_TEXT, DEADLINE_S), count)
    computed = texts_of_the_network(imdb_server) - before

    assert codes.keys() <= {"OK", "CANCELLED"}
    assert codes["CANCELLED"] > count / 2
    assert computed < count / 2
