"""Several servers behind one name, as a headless Kubernetes Service has them: all of them get requests."""

from __future__ import annotations

import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from dnslib import QTYPE, RR, A
from dnslib.server import BaseResolver, DNSServer

from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bertriton import Client

NAME = "bertriton-grpc.default.svc.cluster.local"
MAX_CONNECTION_AGE_MS = 1000
# gRPC itself waits half a minute before it asks a name server again.
QUICK_LOOKUPS = {"grpc.dns_min_time_between_resolutions_ms": 200}
PATIENCE_S = 60.0
# A client that never pauses spends its budget of retries within the seconds that a server takes to end.
PAUSE_S = 0.02


class NameServer(BaseResolver):
    """Answers what the name stands for now; what stands for nothing has no answer."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._server = DNSServer(self, address="127.0.0.1", port=0)
        self._server.start_thread()

    def resolve(self, request: Any, _: object) -> Any:
        reply = request.reply()
        if request.q.qtype == QTYPE.A and str(request.q.qname).rstrip(".") == NAME:
            for address in self.addresses:
                reply.add_answer(RR(NAME, QTYPE.A, rdata=A(address), ttl=1))
        return reply

    def url(self, port: int) -> str:
        """The target of a client that asks this name server and no other."""
        _, own_port = self._server.server.server_address
        return f"dns://127.0.0.1:{own_port}/{NAME}:{port}"

    def close(self) -> None:
        self._server.stop()
        self._server.server.server_close()


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def replicas(imdb_repository: Path) -> Iterator[tuple[LocalServer, LocalServer]]:
    """Two servers on one port of two addresses, whose connections last a second."""
    age = (f"--grpc-max-connection-age={MAX_CONNECTION_AGE_MS}",)
    config = ServerConfig(imdb_repository, host="127.0.0.1", stop_grace_s=0, arguments=age)
    with LocalServer(config) as first:
        config = ServerConfig(imdb_repository, host="127.0.0.2", grpc_port=first.grpc_port, arguments=age)
        with LocalServer(config) as second:
            yield first, second
            second.stop(grace_s=0)


def answered(server: LocalServer) -> int:
    """Requests that the embedded classifier has answered there."""
    with urllib.request.urlopen(f"{server.http_url}/v2/models/imdb/stats") as response:
        text = response.read().decode()
    return int(text.partition('"inference_stats":{"success":{"count":')[2].partition(",")[0])


def test_requests_go_round_all_addresses_of_a_name(
    new_client: Callable[..., Client], name_server: NameServer, replicas: tuple[LocalServer, LocalServer]
) -> None:
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    client = new_client(name_server.url(replicas[0].grpc_port), "imdb")
    client.classify("connects")
    before = [answered(server) for server in replicas]

    for _ in range(40):
        assert client.classify("A lovely film.").label == "pos"

    after = [answered(server) for server in replicas]
    assert min(new - old for new, old in zip(after, before, strict=True)) >= 10


def test_a_replica_that_is_added_gets_requests_and_costs_no_answer(
    new_client: Callable[..., Client], name_server: NameServer, replicas: tuple[LocalServer, LocalServer]
) -> None:
    name_server.addresses = ["127.0.0.1"]
    client = new_client(name_server.url(replicas[0].grpc_port), "imdb", channel_args=QUICK_LOOKUPS)
    client.classify("connects")
    before = answered(replicas[1])

    name_server.addresses.append("127.0.0.2")

    assert _answers_until(client, lambda: answered(replicas[1]) > before)


def test_a_replica_that_is_taken_away_gets_no_more_requests(
    new_client: Callable[..., Client], name_server: NameServer, replicas: tuple[LocalServer, LocalServer]
) -> None:
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    client = new_client(name_server.url(replicas[0].grpc_port), "imdb", channel_args=QUICK_LOOKUPS)
    client.classify("connects")

    name_server.addresses.remove("127.0.0.2")

    def is_left_alone() -> bool:
        before = answered(replicas[1])
        for _ in range(10):
            client.classify("text")
        return answered(replicas[1]) == before

    assert _answers_until(client, is_left_alone)


def test_a_replica_that_ends_costs_no_answer(
    new_client: Callable[..., Client], name_server: NameServer, replicas: tuple[LocalServer, LocalServer]
) -> None:
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    client = new_client(name_server.url(replicas[0].grpc_port), "imdb")
    client.classify("connects")

    # The name still stands for it, as it does in a cluster for some seconds.
    ending = threading.Thread(target=replicas[1].stop)
    ending.start()
    try:
        assert _answers_until(client, lambda: not ending.is_alive())
        for _ in range(20):
            assert client.classify("A lovely film.").label == "pos"
    finally:
        ending.join()
        replicas[1].start()


def _answers_until(client: Client, happened: Callable[[], bool]) -> bool:
    """Whether it happens while the client works; every one of its answers is held against the right one."""
    given_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < given_up:
        assert client.classify("A lovely film.").label == "pos"
        if happened():
            return True
        time.sleep(PAUSE_S)
    return False
