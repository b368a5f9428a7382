"""What lies between client and server, and which port is asked: errors name what is in the way."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme

from bertriton import (
    AsyncClient,
    CallOptions,
    Client,
    ConnectionFailedError,
    DeadlineError,
    InvalidOptionError,
    Keepalive,
    RequestLimits,
    RetryPolicy,
    Tls,
)
from bertriton._config import MAX_DURATION_S
from bertriton._wire import Endpoint
from bertriton._wire.address import Address, Proxy, address_of, proxy_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bertriton_server import LocalServer

PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy")
NO_PORT = "http://127.0.0.1:9"  # discard: nothing listens there


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "dns:///localhost", "ipv4:127.0.0.1"])
def test_no_proxy_leads_to_this_machine_itself(
    new_client: Callable[..., Client],
    imdb_server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    host: str,
) -> None:
    monkeypatch.setenv(variable, NO_PORT)
    port = imdb_server.grpc_url.rpartition(":")[2]

    assert new_client(f"{host}:{port}").classify("A lovely film.").label == "pos"


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_proxy_in_the_way_is_named_with_its_variable_and_without_its_password(
    new_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://user:secret@127.0.0.1:9")
    client = new_client("triton.invalid:8001", timeout=5, retry=RetryPolicy(max_attempts=1))

    with pytest.raises((ConnectionFailedError, DeadlineError)) as caught:
        client.classify("text")

    assert f"through the proxy 127.0.0.1:9, which {variable} of the environment names" in str(caught.value)
    assert "no_proxy=triton.invalid" in str(caught.value)
    assert "secret" not in str(caught.value).split(" goes without it")[0]


def test_a_proxy_is_named_only_where_grpc_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", NO_PORT)

    assert Endpoint("triton.example:8001").proxy == Proxy("http_proxy", "127.0.0.1:9")
    assert Endpoint("unix:///run/triton").proxy is None
    assert Endpoint("triton.example:8001", channel_args={"grpc.enable_http_proxy": 0}).proxy is None
    monkeypatch.setenv("no_proxy", "other.example, .example")
    assert Endpoint("triton.example:8001").proxy is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"http_proxy": ""}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),  # gRPC reads them in lower case only
        ({"http_proxy": "http://p:1", "grpc_proxy": "http://q:2/"}, Proxy("grpc_proxy", "q:2")),
        ({"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ({"http_proxy": "http://p:1", "grpc_proxy": "socks5://q:2"}, None),  # passed over, as gRPC's log says
        ({"https_proxy": "https://p:1"}, None),
        ({"http_proxy": "p:1"}, None),
        ({"all_proxy": "http://p:1"}, None),
        ({"http_proxy": "http://p:1", "no_proxy": "192.168.0.0/16"}, Proxy("http_proxy", "p:1")),
        (
            {"http_proxy": "http://p:1", "no_grpc_proxy": "x", "no_proxy": "10.1.2.3"},
            Proxy("http_proxy", "p:1"),
        ),
    ],
)
def test_the_proxy_is_the_one_that_grpc_takes(environment: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_to(Address("10.1.2.3", 8001), environment) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:8001", Address("localhost", 8001)),
        ("dns:///triton:8001", Address("triton", 8001)),
        ("dns://8.8.8.8/triton:8001", Address("triton", 8001)),
        ("[::1]:8001", Address("::1", 8001)),
        ("ipv6:[::1]:8001", Address("::1", 8001)),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", Address("127.0.0.1", 1)),
        ("triton", Address("triton", 443)),
        ("unix:/run/triton", None),
        ("triton:port", None),
    ],
)
def test_targets_have_host_and_port(target: str, expected: Address | None) -> None:
    assert address_of(target) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"token": "t0k3n\n"}, r"token: expected visible ASCII characters, found '\\n', at its end"),
        ({"api_key": "schl\u00fcssel"}, "api_key: expected visible ASCII characters, found '\u00fc'"),
        ({"headers": {"x-tenant": "a\0b"}}, r"headers\['x-tenant'\]: expected visible"),
        ({"headers": {"X Tenant": "a"}}, "headers: expected names of ASCII letters.*found 'x tenant'"),
        ({"headers": {"": "a"}}, "headers: expected names"),
        ({"headers": {"x-bin": "c"}}, r"headers\['x-bin'\]: expected bytes, as the name ends with -bin"),
        ({"headers": {"x": b"c"}}, r"headers\['x'\]: expected a string, found bytes"),
        ({"headers": {1: "c"}}, "headers: expected names that are strings, found int"),
        ({"headers": [("a", "b")]}, "headers: expected a mapping of names to values, found list"),
        ({"token": b"t0k3n"}, "token: expected a string, found bytes"),
        ({"api_key": 5}, "api_key: expected a string, found int"),
    ],
)
def test_what_grpc_takes_for_no_metadata_is_refused_by_name(settings: Any, expected: str) -> None:
    """As a token of a file that ends with a line break; the secret itself is not shown."""
    with pytest.raises(InvalidOptionError, match=expected) as refused:
        Client(**settings)

    assert "t0k3n" not in str(refused.value)
    assert "ssel" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tls": True}, r"tls: expected a Tls, such as Tls\(\), or None, found bool"),
        ({"retry": 3}, "retry: expected a RetryPolicy, found int"),
        ({"limits": 3}, "limits: expected a RequestLimits, found int"),
        ({"keepalive": 3}, "keepalive: expected a Keepalive, found int"),
        ({"model": 3}, "model: expected the name of a classifier, found int"),
        ({"model": "\udcff"}, "model: expected UTF-8"),
        ({"channel_args": {"a": None}}, r"channel_args\['a'\]: expected a number or a string"),
        ({"channel_args": {"a": 2**31}}, r"channel_args\['a'\]: expected a number of 32 bits"),
        ({"url": 5}, "url: expected host:port of Triton's gRPC endpoint or a gRPC target, found int"),
        ({"url": b"h:1"}, "url: expected host:port.*found bytes"),
        ({"url": None}, "url: expected host:port.*found NoneType"),
        ({"url": "\udcff:1"}, r"url: expected UTF-8, found '\\udcff:1'"),
        ({"tls": Tls("a\0b")}, "Tls.authority: cannot read 'a.x00b': embedded null byte"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(settings: Any, expected: str) -> None:
    with pytest.raises(InvalidOptionError, match=expected):
        Client(**settings)


@pytest.mark.parametrize("settings", [{"authority": 5}, {"server_name": 5}, {"server_name": "\udcff"}])
def test_what_is_no_setting_of_tls_is_refused_by_name(settings: Any) -> None:
    with pytest.raises(InvalidOptionError, match=f"Tls.{next(iter(settings))}: expected "):
        Tls(**settings)


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64, "\u00e9" * 70, "\u2028", "dns:///" + "h" * 300])
def test_a_host_that_is_no_name_cannot_be_reached(new_client: Callable[..., Client], host: str) -> None:
    """Python refuses to look it up, when it is asked what is there."""
    with pytest.raises(ConnectionFailedError, match="cannot reach Triton at"):
        new_client(f"{host}:1", retry=RetryPolicy(max_attempts=1)).classify("text")


def test_nor_by_an_async_client() -> None:
    async def classify() -> None:
        async with AsyncClient("a..b:1", retry=RetryPolicy(max_attempts=1)) as client:
            await client.classify("text")

    with pytest.raises(ConnectionFailedError, match="cannot reach Triton at"):
        asyncio.run(classify())


@pytest.mark.parametrize(
    "url",
    [
        *("h:99999", "h:0", "h:-1", "dns:///h:65536", "ipv4:127.0.0.1:1,127.0.0.1:99999"),
        "h:" + "9" * 5000,
    ],
)
def test_a_port_that_no_address_has_is_refused(url: str) -> None:
    """gRPC takes 34463 for 99999, where somebody else may answer."""
    with pytest.raises(InvalidOptionError, match="url: expected a port of 1 to 65535"):
        Endpoint(url)


def test_a_port_that_was_not_given_is_named(new_client: Callable[..., Client]) -> None:
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1 \(no port is given: gRPC took 443\)"):
        new_client("127.0.0.1").models()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("LOCALHOST", True), ("a.localhost", True), ("127.3.2.1", True), ("::1", True), ("10.0.0.1", False)],
)
def test_this_machine_is_known_by_its_names(host: str, loopback: bool) -> None:  # noqa: FBT001
    assert Address(host, 1).is_loopback == loopback


def test_the_http_port_is_named_as_such(new_client: Callable[..., Client], imdb_server: LocalServer) -> None:
    port = imdb_server.http_url.rpartition(":")[2]

    with pytest.raises(ConnectionFailedError) as caught:
        new_client(f"127.0.0.1:{port}").classify("text")

    assert f"port {port} speaks HTTP, and this client gRPC, by default at port 8001" in str(caught.value)


@pytest.fixture(scope="module")
def encrypted_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A gRPC server with TLS at 127.0.0.1, which `localhost` also has at ::1, and its authority."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    own = authority.issue_cert("localhost", "127.0.0.1")
    key, chain = own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    authority.cert_pem.write_to_path(folder / "authority.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    server.start()
    yield port, folder
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("host", "authority", "expected"),
    [
        ("localhost", None, "speaks TLS, which this client was not told to"),
        ("localhost", "other.pem", "is not trusted: unable to get local issuer certificate"),
        ("127.0.0.2", "authority.pem", ""),  # nobody listens there
    ],
)
def test_tls_that_fails_is_told_as_such(
    new_client: Callable[..., Client],
    encrypted_port: tuple[int, Path],
    host: str,
    authority: str | None,
    expected: str,
) -> None:
    """gRPC tells of the last address of a name alone: nobody listens at ::1."""
    port, folder = encrypted_port
    tls = None if authority is None else Tls(authority=folder / authority)

    with pytest.raises(ConnectionFailedError, match=f"{expected}.*UNAVAILABLE"):
        new_client(f"{host}:{port}", tls=tls).models()


def test_a_server_without_tls_is_told_as_such(
    new_client: Callable[..., Client], imdb_server: LocalServer
) -> None:
    with pytest.raises(ConnectionFailedError, match="does not speak TLS, which this client was told to"):
        new_client(imdb_server.grpc_url, tls=Tls()).models()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes every connection and closes it without a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                return

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_port_that_speaks_nothing_is_not_taken_for_http(
    new_client: Callable[..., Client], silent_port: int
) -> None:
    with pytest.raises((ConnectionFailedError, DeadlineError)) as caught:
        new_client(f"127.0.0.1:{silent_port}", timeout=5).classify("text")

    assert "speaks HTTP" not in str(caught.value)


NO_DURATIONS: list[Any] = [0, -1, 1e12, float("inf"), float("nan"), True, "5", None]


@pytest.mark.parametrize("seconds", NO_DURATIONS)
def test_durations_out_of_range_are_refused_with_the_bound(seconds: Any) -> None:
    makers = [
        lambda: Client(timeout=seconds),
        lambda: Client().with_options(timeout=seconds),
        lambda: Keepalive(interval_s=seconds),
        lambda: Keepalive(timeout_s=seconds),
    ]
    for make in makers:
        with pytest.raises(InvalidOptionError, match=r"expected a number of seconds, over 0 and at most \d+"):
            make()


@pytest.mark.parametrize("seconds", [value for value in NO_DURATIONS if value not in (0, None)])
def test_a_calls_timeout_and_backoffs_are_held_to_the_same_bound(
    new_client: Callable[..., Client], imdb_server: LocalServer, seconds: Any
) -> None:
    options: CallOptions = {"timeout": seconds}
    with pytest.raises(InvalidOptionError, match="timeout"):
        new_client(imdb_server.grpc_url).classify("text", **options)
    with pytest.raises(InvalidOptionError, match="initial_backoff_s"):
        RetryPolicy(initial_backoff_s=seconds)
    with pytest.raises(InvalidOptionError, match="max_backoff_s"):
        RetryPolicy(max_backoff_s=seconds)


def test_the_longest_timeout_works(new_client: Callable[..., Client], imdb_server: LocalServer) -> None:
    client = new_client(imdb_server.grpc_url, timeout=MAX_DURATION_S)

    assert client.classify("A lovely film.", timeout=MAX_DURATION_S).label == "pos"


def test_the_longest_keepalive_works(new_client: Callable[..., Client], imdb_server: LocalServer) -> None:
    keepalive = Keepalive(interval_s=24 * 24 * 3600.0, timeout_s=24 * 24 * 3600.0)

    assert new_client(imdb_server.grpc_url, keepalive=keepalive).classify("A lovely film.").label == "pos"


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), True, "8"])
def test_numbers_of_things_are_whole_and_in_range(value: Any) -> None:
    for name in ("rows", "request_bytes", "text_bytes", "in_flight"):
        with pytest.raises(InvalidOptionError, match=name):
            RequestLimits(**{name: value})
    for name in ("max_attempts", "first_contact_attempts"):
        with pytest.raises(InvalidOptionError, match=name):
            RetryPolicy(**{name: value})


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), True])
def test_budgets_are_in_range(value: Any) -> None:
    for name in ("budget", "budget_per_s", "budget_per_answer"):
        with pytest.raises(InvalidOptionError, match=name):
            RetryPolicy(**{name: value})
