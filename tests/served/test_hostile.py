"""One request that is wrong, too large or abandoned, on a real Triton: nobody else notices."""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bertriton import Client, contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer

ANY_SERVER = pytest.mark.any_server
NAME = "three-labels"
NETWORK = NAME + contract.BERT_SUFFIX
TOKENIZER = NAME + contract.TOKENIZER_SUFFIX
LARGE_NAME = "imdb-minilm"
LARGE_NETWORK = LARGE_NAME + contract.BERT_SUFFIX
DEADLINE_S = 60.0
UNCOUNTABLE = [3, (2**64 + 2) // 3]  # two elements, in 64 bits
GROWTH_MB = 150
FLOOD = 3000
TEXTS = ["good film", "", "a dull film and its end is worse " * 3]
TOKEN_INPUTS = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)


def request(model: str, *tensors: tuple[str, str, list[int], bytes], **parameters: int) -> Any:
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, datatype, shape, content in tensors:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(content)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    return message


def with_text_parameter(message: Any, name: str, value: str) -> Any:
    message.parameters[name].string_param = value
    return message


def of_tokens(*values: Any, shape: list[int] | None = None) -> Any:
    """A request to the network: ids, types and positions, [rows, tokens] each."""
    arrays = [np.asarray(value, np.int32) for value in values]
    tensors = [
        (name, "INT32", shape or list(array.shape), array.tobytes())
        for name, array in zip(TOKEN_INPUTS, arrays, strict=True)
    ]
    return request(NETWORK, *tensors)


def of_strings(model: str, shape: list[int], *strings: bytes, last_size: int | None = None) -> Any:
    """A request of texts, whose last one may say that it has another size."""
    sizes = [len(string) for string in strings]
    if last_size is not None:
        sizes[-1] = last_size
    parts = [struct.pack("<I", size) + string for size, string in zip(sizes, strings, strict=True)]
    return request(model, (contract.TEXT, "BYTES", shape, b"".join(parts)))


@pytest.fixture(scope="module")
def stub(golden_server: LocalServer) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(golden_server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def refusal(stub: Any, message: Any) -> tuple[str, str]:
    """The code and words that a request is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message, timeout=DEADLINE_S)
    error: Any = caught.value
    return error.code().name, error.details()


def is_refused(stub: Any, message: Any) -> bool:
    """Whether a request is refused: in words or, by Triton's own backend, with scores that are no numbers."""
    try:
        answer = stub.ModelInfer(message, timeout=DEADLINE_S)
    except grpc.RpcError:
        return True
    place = [output.name for output in answer.outputs].index(contract.LOGITS)
    return bool(np.isnan(np.frombuffer(answer.raw_output_contents[place], np.float32)).all())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (of_tokens([[5, 9999]], [[0, 0]], [[0, 1]]), "input_ids: row 0 has 9999 at 1, expected 0 to 511"),
        (of_tokens([[5], [-7]], [[0], [0]], [[0], [0]]), "input_ids: row 1 has -7 at 0"),
        (of_tokens([[5, 6]], [[0, 9]], [[0, 1]]), "token_type_ids: row 0 has 9 at 1, expected 0 to 1"),
        (of_tokens([[5, 6]], [[0, 0]], [[0, 64]]), "position_ids: row 0 has 64 at 1, expected -3 to 63"),
        (of_tokens([[5, 6]], [[0, 0]], [[1, 2]]), r"position_ids: row 0 does not count .* \[1, 2\]"),
        (of_tokens([[5, 6]], [[0, 0]], [[-2, 1]]), "position_ids: row 0 does not count"),
        (of_tokens([[5, 6]], [[0, 0]], [[0, 0]]), "position_ids: row 0 does not count"),
        (of_tokens([[5, 6]], [[0, 0]], [[-1, -1]]), "position_ids: row 0 does not count"),
        (
            of_tokens([[5, 6]], [[0]], [[0, 1]]),
            "found 2 in input_ids, 1 in token_type_ids, 2 in position_ids",
        ),
        (of_tokens([[]], [[]], [[]]), "expected as many elements in every input, and one at least"),
        (of_tokens([[5]], [[0]], [[]]), "1 in input_ids, 1 in token_type_ids, 0 in position_ids"),
        (of_tokens(*[np.zeros(132)] * 3, shape=[0, 132]), "input 'input_ids' has no rows"),
        (of_tokens(*[np.zeros(8)] * 3, shape=[0, 8]), "input 'input_ids' has no rows"),
        pytest.param(
            of_strings(TOKENIZER, [0, 132], *[b"x"] * 132),
            r"expected shape .* found \[0, 132\]",
            marks=ANY_SERVER,
        ),
        pytest.param(of_strings(NAME, [0, 132], *[b"x"] * 132), r"text: expected shape", marks=ANY_SERVER),
        pytest.param(of_strings(NAME, [3, 0]), r"expected shape .* found \[3, 0\]", marks=ANY_SERVER),
        pytest.param(
            of_strings(NAME, [1, 3], b"a", b"b", b"c"), r"expected shape .* found \[1, 3\]", marks=ANY_SERVER
        ),
        pytest.param(
            of_strings(NAME, [64, 60], *[b""] * 3840), r"expected shape .* found \[64, 60\]", marks=ANY_SERVER
        ),
        pytest.param(
            of_strings(NAME, [3, 1], *[b"!" * 1_500_000] * 3),
            "tokenizer: 4500000 bytes are over 4194304, send fewer texts",
            marks=ANY_SERVER,
        ),
        pytest.param(
            of_strings(NAME, [1, 1], b"abc", last_size=500), "incomplete string data", marks=ANY_SERVER
        ),
        pytest.param(
            of_strings(TOKENIZER, [2, 1], b"a", b"b", last_size=2**31),
            "incomplete string data",
            marks=ANY_SERVER,
        ),
        pytest.param(of_strings(NAME, [2, 1], b"only one"), "expected 2 string elements", marks=ANY_SERVER),
        # Triton multiplies dimensions in 64 bits, and takes these for whole; in its process numpy does not.
        (of_tokens([[5]], [[0]], [[0]], shape=[1, 2**62 + 1]), "input 'input_ids' has no rows"),
        (of_tokens([], [], [], shape=[0, 2**62]), "input 'input_ids' has no rows"),
        (of_tokens([[5]], [[0]], [[0]], shape=[1, 1 - 2**62]), "input 'input_ids' has no rows"),
        (of_tokens([], [], [], shape=[64, 2**58]), "input 'input_ids' has no rows"),
        pytest.param(of_strings(NAME, UNCOUNTABLE, b"a", b"b"), "text: expected shape", marks=ANY_SERVER),
        pytest.param(of_strings(TOKENIZER, [4, 2**62]), "text: expected shape", marks=ANY_SERVER),
        # Repeated in full, it made the refusal too large for a gRPC header: "Stream removed".
        pytest.param(
            with_text_parameter(of_strings(NAME, [1, 1], b"film"), "truncation", "x" * 100_000),
            r"truncation: expected .*, found 'x{79}$",
            marks=ANY_SERVER,
        ),
    ],
)
def test_what_is_wrong_is_said_by_name(stub: Any, message: Any, expected: str) -> None:
    code, words = refusal(stub, message)

    assert code == "INVALID_ARGUMENT"
    assert re.search(expected, words), words


@pytest.mark.parametrize(
    "message",
    [
        # "batch size 132, max allowed is 64"; in Triton's own backend such a request to the network fails
        # those it arrives with (SECURITY.md)
        pytest.param(of_tokens(*[np.zeros(132)] * 3, shape=[0, 132]), id="no rows"),
        pytest.param(of_strings(TOKENIZER, [0, 132], *[b"x"] * 132), id="no rows of text", marks=ANY_SERVER),
        pytest.param(
            of_strings(NAME, [1, 1], b"abc", last_size=500), id="a string too short", marks=ANY_SERVER
        ),
        pytest.param(of_tokens([[5, 6, 7]], [[0, 0, 0]], [[0, 0, -2]]), id="starts", marks=ANY_SERVER),
        pytest.param(
            of_tokens([[5, 6, 7], [8, 9, 4]], [[0], [0]], [[0, 1, 2], [0, 1, 2]]),
            id="unequal",
            marks=ANY_SERVER,
        ),
        pytest.param(of_tokens([[10**8]], [[0]], [[0]]), id="a foreign id", marks=ANY_SERVER),
    ],
)
def test_a_refused_request_fails_none_of_those_it_arrives_with(
    stub: Any, golden_server: LocalServer, message: Any
) -> None:
    done = threading.Event()

    def be_hostile() -> None:
        while not done.is_set():
            assert is_refused(stub, message)

    with Client(golden_server.grpc_url, NAME, timeout=DEADLINE_S) as client, ThreadPoolExecutor(16) as pool:
        expected = [client.classify(text) for text in TEXTS]
        hostile = [pool.submit(be_hostile) for _ in range(4)]
        try:
            found = list(pool.map(client.classify, TEXTS * 60))
        finally:
            done.set()
        for one in hostile:
            one.result()

    assert found == expected * 60


def peak_mb(model: str) -> float:
    """The most memory that a model's process of this test's servers has ever had."""
    return _status_mb(model, "VmHWM")


def memory_mb(model: str) -> float:
    """The memory that it has now."""
    return _status_mb(model, "VmRSS")


def _status_mb(model: str, field: str) -> float:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # others come and go
            command = (process / "cmdline").read_text(errors="replace")
            if f"bertriton_{os.getpid()}_" in command and f"/{model}/" in command:
                found = re.search(rf"{field}:\s+(\d+) kB", (process / "status").read_text())
                assert found is not None
                return int(found[1]) / 1024
    raise AssertionError(f"no process of {model}")


def test_a_text_of_many_windows_takes_no_more_memory_than_others(golden_server: LocalServer) -> None:
    with Client(golden_server.grpc_url, LARGE_NAME, timeout=600) as client:
        client.classify(["good film " * 300] * 8)  # what any batch takes
        before_mb = peak_mb(LARGE_NETWORK)

        answer = client.classify("good film " * 6000, truncation="windows")

    assert answer.windows == 24
    assert peak_mb(LARGE_NETWORK) - before_mb < GROWTH_MB


@pytest.mark.parametrize(
    "message",
    [
        # Each of which was read before its shape was looked at: seconds, and hundreds of megabytes.
        pytest.param(of_strings(NAME, [64, 60_000], *[b"ab"] * 3_840_000), id="millions of strings"),
        pytest.param(of_strings(NAME, [16, 1], *[b"!" * 1_000_000] * 16), id="16 MB of exclamation marks"),
    ],
)
def test_a_request_that_is_too_large_is_refused_before_it_takes_memory(stub: Any, message: Any) -> None:
    before_mb = peak_mb(TOKENIZER)

    assert refusal(stub, message)[0] == "INVALID_ARGUMENT"

    assert peak_mb(TOKENIZER) - before_mb < GROWTH_MB


def test_a_text_of_two_megabytes_gives_its_memory_back(stub: Any) -> None:
    before_mb = memory_mb(TOKENIZER)

    stub.ModelInfer(of_strings(NAME, [1, 1], b"good film " * 200_000), timeout=DEADLINE_S)

    assert memory_mb(TOKENIZER) - before_mb < GROWTH_MB / 3


def test_short_texts_are_answered_while_a_large_one_is_computed(golden_server: LocalServer) -> None:
    with (
        Client(golden_server.grpc_url, LARGE_NAME, timeout=600) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        large = pool.submit(client.classify, "good film " * 12_000, truncation="windows")
        answered = 0
        while not large.done():
            client.classify("good film")
            answered += not large.done()

    assert large.result().windows == 48
    assert answered > 20  # it has some 50 pieces, and others may go between any two


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(TOKENIZER, "tokenizer: the request waited longer", marks=ANY_SERVER),
        (NETWORK, "timeout|Timeout"),
    ],
)
def test_what_nobody_waits_for_any_more_is_not_computed(stub: Any, model: str, expected: str) -> None:
    message = of_strings(TOKENIZER, [1, 1], b"film") if model == TOKENIZER else of_tokens([[5]], [[0]], [[0]])
    message.parameters["timeout"].int64_param = 1  # microsecond

    code, words = refusal(stub, message)

    assert code in {"CANCELLED", "UNAVAILABLE"}
    assert re.search(expected, words), words


@ANY_SERVER
def test_after_a_flood_of_cancelled_calls_the_next_is_answered_soon(
    stub: Any, golden_server: LocalServer
) -> None:
    message = of_strings(NAME, [1, 1], b"a film like any other")
    calls = [stub.ModelInfer.future(message, timeout=DEADLINE_S) for _ in range(FLOOD)]
    for call in calls:
        call.cancel()
    started_s = time.monotonic()

    with Client(golden_server.grpc_url, NAME, timeout=DEADLINE_S) as client:
        assert client.classify("good film").label

    assert time.monotonic() - started_s < DEADLINE_S / 2
