"""Both clients behind one face, so that every behaviour is tested on both."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor

from bertriton import AsyncClient, ClassifierInfo, Client, RetryPolicy, contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bertriton_server import LocalServer


class BlockingAsyncClient:
    """An `AsyncClient` with an event loop of its own, called like a `Client`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._client = AsyncClient(*args, **settings)
        self._loop = asyncio.new_event_loop()

    def classify(self, *args: Any, **options: Any) -> Any:
        return self._loop.run_until_complete(self._client.classify(*args, **options))

    def classify_iter(self, *args: Any, **options: Any) -> Iterator[Any]:
        results = self._client.classify_iter(*args, **options)
        end = object()
        try:
            while (result := self._loop.run_until_complete(anext(results, end))) is not end:
                yield result
        finally:
            self._loop.run_until_complete(results.aclose())

    def rerank(self, *args: Any, **options: Any) -> Any:
        return self._loop.run_until_complete(self._client.rerank(*args, **options))

    @property
    def info(self) -> Any:
        return self._loop.run_until_complete(_awaited(self._client.info))

    @property
    def labels(self) -> Any:
        return self._loop.run_until_complete(_awaited(self._client.labels))

    def models(self) -> Any:
        return self._loop.run_until_complete(self._client.models())

    def is_ready(self) -> Any:
        return self._loop.run_until_complete(self._client.is_ready())

    def with_options(self, **changes: Any) -> BlockingAsyncClient:
        changed = object.__new__(BlockingAsyncClient)
        changed._loop = self._loop
        changed._client = self._client.with_options(**changes)
        return changed

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())

    def close_all(self) -> None:
        self.close()
        self._loop.close()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class _ClosableClient(Client):
    close_all = Client.close


@pytest.fixture(params=[_ClosableClient, BlockingAsyncClient], ids=["sync", "async"])
def new_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Makes clients of either kind and closes them at the end of the test."""
    made = []

    def make(*args: Any, **settings: Any) -> Any:
        made.append(request.param(*args, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close_all()


@pytest.fixture
def client(new_client: Callable[..., Client], imdb_server: LocalServer) -> Client:
    """A client of either kind for the embedded classifier."""
    return new_client(imdb_server.grpc_url)


def fingerprint_of(labels: tuple[str, ...]) -> str:
    """That of a scripted model, which differs from another by its labels alone."""
    return hashlib.sha256(repr(labels).encode()).hexdigest()[: 2 * contract.FINGERPRINT_BYTES]


class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A gRPC server that fails as it is told, for what a real Triton does too seldom to wait for."""

    url: str

    def __init__(self) -> None:
        self.classifiers = {"imdb": ("neg", "pos")}  # labels by name
        self.replicas: list[tuple[str, ...]] = []  # labels of models of one name that are asked in turn
        self.max_length = 512
        self.states: dict[str, str] = {}  # where it is not READY
        self.version = "1"
        self.failures: list[grpc.StatusCode] = []  # of the next inferences
        self.refused_texts: set[bytes] = set()
        self.answered_fingerprint: str | None = None  # where it is not the config's
        self.config_requests = 0
        self.answered_columns: int | None = None  # where it is not the number of labels
        self.model_is_ready = True
        self.inferences = 0
        self.metadata: dict[str, Any] = {}  # of the last inference
        self.words = "as told"  # with a failure
        self._turns = itertools.count()

    def _labels(self, name: str) -> tuple[str, ...] | None:
        if self.replicas:
            return self.replicas[next(self._turns) % len(self.replicas)]
        return self.classifiers.get(name)

    def RepositoryIndex(self, _: Any, context: Any) -> Any:  # noqa: ARG002, N802
        response = service_pb2.RepositoryIndexResponse()
        for name in self.classifiers:
            for model in (name, name + contract.TOKENIZER_SUFFIX, name + contract.BERT_SUFFIX):
                state = self.states.get(name, "READY")
                reason = "" if state == "READY" else "disk full"
                response.models.add(name=model, version=self.version, state=state, reason=reason)
        return response

    @property
    def fingerprint(self) -> str:
        """Of its classifier `imdb`."""
        return fingerprint_of(self.classifiers["imdb"])

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.config_requests += 1
        response = service_pb2.ModelConfigResponse()
        response.config.name, response.config.max_batch_size = request.name, 8
        labels = self._labels(request.name)
        if labels is not None:
            kind, fingerprint = contract.SINGLE_LABEL, fingerprint_of(labels)
            info = ClassifierInfo(request.name, labels, kind, self.max_length, 8, "5e0c", fingerprint)
            for key, value in info.to_parameters().items():
                response.config.parameters[key].string_value = value
        return response

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return service_pb2.ModelReadyResponse(ready=self.model_is_ready)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.inferences += 1
        self.metadata = dict(context.invocation_metadata())
        if self.failures:
            context.abort(self.failures.pop(0), self.words)
        parts = iter(deserialize_bytes_tensor(request.raw_input_contents[0]))
        rows, width = request.inputs[0].shape
        texts = [b"".join(itertools.islice(parts, width)) for _ in range(rows)]
        if self.refused_texts & set(texts):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "one of the texts is refused")
        return self._answer(request.model_name, texts)

    def _answer(self, name: str, texts: list[bytes]) -> Any:
        """Every text is as long as it has bytes, and its first label is the best."""
        labels = self._labels(name) or ()
        columns = self.answered_columns or len(labels)
        fingerprint = self.answered_fingerprint or fingerprint_of(labels)
        words = np.array(contract.fingerprint_words(fingerprint), np.int32)
        scores = np.tile(np.linspace(1, 0, columns, dtype=np.float32), (len(texts), 1))
        response = service_pb2.ModelInferResponse(model_name=name, model_version=self.version)
        for output, datatype, array in (
            (contract.PROBABILITIES, "FP32", scores),
            (contract.LOGITS, "FP32", scores),
            (contract.TOKEN_COUNT, "INT32", np.array([[len(text)] for text in texts], np.int32)),
            (contract.TRUNCATED, "BOOL", np.zeros((len(texts), 1), bool)),
            (contract.WINDOWS, "INT32", np.ones((len(texts), 1), np.int32)),
            (contract.FINGERPRINT, "INT32", np.tile(words, (len(texts), 1))),
            (contract.TOKENIZER_FINGERPRINT, "INT32", np.tile(words, (len(texts), 1))),
        ):
            response.outputs.add(name=output, datatype=datatype, shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        return response


@pytest.fixture
def triton() -> Iterator[ScriptedTriton]:
    """A server that fails as it is told."""
    scripted = ScriptedTriton()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(scripted, server)
    scripted.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield scripted
    server.stop(None).wait()


@pytest.fixture
def scripted(triton: ScriptedTriton, new_client: Callable[..., Client]) -> tuple[ScriptedTriton, Client]:
    """The same, and a client of either kind for it."""
    return triton, new_client(triton.url, retry=RetryPolicy(initial_backoff_s=0.001))
