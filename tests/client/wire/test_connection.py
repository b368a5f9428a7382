"""How a client reaches its server: encryption, keys, headers, several replicas, processes and event loops."""

from __future__ import annotations

import asyncio
import os
from concurrent import futures
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bertriton import (
    AccessDeniedError,
    AsyncClient,
    Client,
    ConnectionFailedError,
    InvalidOptionError,
    Keepalive,
    Tls,
    WrongEventLoopError,
    WrongProcessError,
)
from bertriton._config import API_KEY_HEADER, TRITON_MIN_PING_INTERVAL_S
from bertriton._wire import Endpoint
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API_KEY = "a secret that is no secret"


@dataclass(frozen=True)
class Certificates:
    """PEM files of one authority, a server and a client."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    names = ("ca", "server", "server_key", "client", "client_key")
    made = Certificates(*(folder / f"{name}.pem" for name in names))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    for name, chain, key in (
        ("localhost", made.server, made.server_key),
        ("client.example", made.client, made.client_key),
    ):
        issued = authority.issue_cert(name, "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(chain)
        issued.private_key_pem.write_to_path(key)
    return made


@pytest.fixture(scope="module")
def mutual_tls_server(imdb_repository: Path, certificates: Certificates) -> Iterator[LocalServer]:
    """A server that wants to see the client's certificate."""
    arguments = (
        "--grpc-use-ssl=1",
        "--grpc-use-ssl-mutual=1",
        f"--grpc-server-cert={certificates.server}",
        f"--grpc-server-key={certificates.server_key}",
        f"--grpc-root-cert={certificates.authority}",
    )
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0, arguments=arguments)) as server:
        yield server


@pytest.fixture(scope="module")
def locked_server(imdb_repository: Path) -> Iterator[LocalServer]:
    """A server that answers only those who know the key."""
    protocols = "inference,metadata,model-config,model-repository"
    key = API_KEY_HEADER.removeprefix("triton-grpc-protocol-")
    arguments = (f"--grpc-restricted-protocol={protocols}:{key}={API_KEY}",)
    with LocalServer(ServerConfig(imdb_repository, stop_grace_s=0, arguments=arguments)) as server:
        yield server


def test_mutual_tls_is_answered(
    new_client: Callable[..., Client], mutual_tls_server: LocalServer, certificates: Certificates
) -> None:
    tls = Tls(certificates.authority, certificates.client, certificates.client_key)

    assert new_client(mutual_tls_server.grpc_url, tls=tls).classify("A lovely film.").label == "pos"


def test_a_client_without_certificate_is_not_let_in(
    new_client: Callable[..., Client], mutual_tls_server: LocalServer, certificates: Certificates
) -> None:
    with pytest.raises(ConnectionFailedError):
        new_client(mutual_tls_server.grpc_url, tls=Tls(certificates.authority)).classify("text")


def test_a_plain_client_does_not_reach_a_tls_server(
    new_client: Callable[..., Client], mutual_tls_server: LocalServer
) -> None:
    with pytest.raises(ConnectionFailedError):
        new_client(mutual_tls_server.grpc_url, timeout=5).classify("text")


def test_a_server_of_another_authority_is_not_trusted(
    new_client: Callable[..., Client], mutual_tls_server: LocalServer, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)

    with pytest.raises(ConnectionFailedError):
        new_client(mutual_tls_server.grpc_url, tls=Tls(stranger)).classify("text")


def test_half_an_identity_is_refused(certificates: Certificates) -> None:
    with pytest.raises(InvalidOptionError, match="both or neither"):
        Tls(certificate=certificates.client)


@pytest.mark.parametrize("other", ["server_key", "authority"])
def test_a_key_of_another_certificate_is_told_before_anything_is_sent(
    certificates: Certificates, other: str
) -> None:
    tls = Tls(certificates.authority, certificates.client, getattr(certificates, other))

    with pytest.raises(
        InvalidOptionError, match=rf"(ca|{other}).pem (is not the private key of|cannot be read)"
    ):
        Endpoint("localhost:1", tls).open()


def test_the_right_key_opens(new_client: Callable[..., Client], locked_server: LocalServer) -> None:
    assert new_client(locked_server.grpc_url, api_key=API_KEY).classify("A lovely film.").label == "pos"


@pytest.mark.parametrize("settings", [{}, {"api_key": "a guess"}, {"model": "imdb"}])
def test_without_the_right_key_access_is_denied_at_once(
    new_client: Callable[..., Client], locked_server: LocalServer, settings: dict[str, Any]
) -> None:
    with pytest.raises(AccessDeniedError) as caught:
        new_client(locked_server.grpc_url, **settings).classify("text")

    assert caught.value.attempts == 1
    assert not caught.value.retryable
    assert "give the right key (api_key; on the command line --api-key)" in str(caught.value)


class _Listener(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that keeps the headers it is sent and is never ready."""

    def __init__(self) -> None:
        self.headers: dict[str, str | bytes] = {}

    def RepositoryIndex(self, _: object, context: Any) -> service_pb2.RepositoryIndexResponse:  # noqa: N802
        self.headers = dict(context.invocation_metadata())
        return service_pb2.RepositoryIndexResponse()


def test_headers_are_sent_with_every_request(new_client: Callable[..., Client]) -> None:
    listener = _Listener()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(listener, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    new_client(f"127.0.0.1:{port}", token="t0k3n", headers={"X-Tenant": "a", "x-bin": b"\xff"}).models()  # noqa: S106
    server.stop(None).wait()

    assert listener.headers["authorization"] == "Bearer t0k3n"
    assert listener.headers["x-tenant"] == "a"
    assert listener.headers["x-bin"] == b"\xff"


def test_a_credential_given_twice_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="authorization"):
        Client(token="a", headers={"Authorization": "Bearer b"})  # noqa: S106


def test_channel_arguments_leave_the_message_limits_alone() -> None:
    arguments = dict(Endpoint("h:1", channel_args={"grpc.http2.max_frame_size": 65536}).arguments())

    assert arguments["grpc.http2.max_frame_size"] == 65536
    assert arguments["grpc.max_receive_message_length"] > 4 * 1024 * 1024


def test_a_channel_argument_of_the_caller_has_the_last_word() -> None:
    arguments = dict(Endpoint("h:1", channel_args={"grpc.max_receive_message_length": 7}).arguments())

    assert arguments["grpc.max_receive_message_length"] == 7


def test_keepalive_is_on_and_slow_enough_for_triton() -> None:
    arguments = dict(Endpoint("h:1").arguments())

    assert arguments["grpc.keepalive_time_ms"] >= TRITON_MIN_PING_INTERVAL_S * 1000
    assert arguments["grpc.keepalive_timeout_ms"] > 0


def test_keepalive_can_be_set() -> None:
    arguments = dict(Endpoint("h:1", keepalive=Keepalive(60.0, 5.0)).arguments())

    assert (arguments["grpc.keepalive_time_ms"], arguments["grpc.keepalive_timeout_ms"]) == (60_000, 5_000)


def test_requests_go_round_all_addresses(
    new_client: Callable[..., Client], imdb_server: LocalServer, locked_server: LocalServer
) -> None:
    both = f"ipv4:{imdb_server.grpc_url},{locked_server.grpc_url}"
    client = new_client(both, "imdb", api_key=API_KEY)

    def request_counts() -> list[int]:
        return [_request_count(server.grpc_url) for server in (imdb_server, locked_server)]

    client.classify("connects")
    before = request_counts()
    for _ in range(20):
        client.classify("text")
    after = request_counts()

    assert min(new - old for old, new in zip(before, after, strict=True)) >= 8


def _request_count(url: str) -> int:
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelStatisticsRequest(name="imdb")
        answer = stub.ModelStatistics(request, metadata=[(API_KEY_HEADER, API_KEY)])
        return int(answer.model_stats[0].inference_stats.success.count)


def test_a_name_is_resolved_to_its_addresses(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    client = new_client(f"dns:///localhost:{imdb_server.grpc_port}")

    labels = {client.classify("good").label for _ in range(4)}

    assert labels == {"pos"}


def test_threads_share_a_client(imdb_server: LocalServer) -> None:
    texts = ["good " * (1 + number % 20) for number in range(400)]
    with Client(imdb_server.grpc_url) as client, futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.classify, texts))

    assert [3 + number % 20 for number in range(400)] == [answer.token_count for answer in answers]


def test_a_client_used_after_a_fork_says_so() -> None:
    client = Client("localhost:1")
    reader, writer = os.pipe()

    # The child must neither run pytest's teardown nor gRPC's.
    child = os.fork()
    if child == 0:
        try:
            client.classify("text")
        except WrongProcessError as exc:
            os.write(writer, str(exc).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()

    client.close()
    assert f"made in process {os.getpid()} and is used in {child}" in said


def test_an_async_client_used_in_a_second_event_loop_says_so(imdb_server: LocalServer) -> None:
    client = AsyncClient(imdb_server.grpc_url)

    async def use_and_close(*, close: bool) -> None:
        try:
            await client.is_ready()
        finally:
            if close:
                await client.close()

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(use_and_close(close=False))
        with pytest.raises(WrongEventLoopError):
            second.run_until_complete(use_and_close(close=False))
        first.run_until_complete(use_and_close(close=True))
    finally:
        first.close()
        second.close()


def test_an_async_client_may_be_made_outside_of_any_loop(imdb_server: LocalServer) -> None:
    client = AsyncClient(imdb_server.grpc_url)

    async def classify() -> str:
        async with client:
            return (await client.classify("A lovely film.")).label

    assert asyncio.run(classify()) == "pos"
