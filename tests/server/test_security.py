"""TLS, client certificates and a shared key, asked for by a real Triton."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import trustme
from cryptography.hazmat.primitives import serialization
from tritonclient.utils import InferenceServerException

from bertriton_server import Security, SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Repository

    from bertriton_server import LocalServer

API_KEY = "correcthorse7"
HEADER = {"triton-grpc-protocol-api-key": API_KEY}


@dataclass(frozen=True)
class Files:
    """PEM files of an authority and of what it signed."""

    authority: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    authority = trustme.CA()
    found = Files(
        *(tmp_path / f"{name}.pem" for name in ("ca", "server", "server_key", "client", "client_key"))
    )
    authority.cert_pem.write_to_path(found.authority)
    for name, cert, key in (
        ("127.0.0.1", found.server_cert, found.server_key),
        ("somebody", found.client_cert, found.client_key),
    ):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
    return found


def double(url: str, headers: dict[str, str] | None = None, **tls: Any) -> float:
    sent = triton.InferInput("x", [1, 1], "FP32")
    sent.set_data_from_numpy(np.float32([[21]]))
    with triton.InferenceServerClient(url, **tls) as client:
        answer = client.infer("double", [sent], client_timeout=60, headers=headers).as_numpy("y")
        return float(answer[0, 0])


def test_tls_is_required_and_works(
    repository: Repository, make_server: Callable[..., LocalServer], files: Files
) -> None:
    repository.add("double")
    security = Security(tls_cert=files.server_cert, tls_key=files.server_key)

    with make_server(security=security) as server:
        assert double(server.grpc_url, ssl=True, root_certificates=str(files.authority)) == 42
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            double(server.grpc_url)


def test_client_certificates_are_required_when_asked_for(
    repository: Repository, make_server: Callable[..., LocalServer], files: Files
) -> None:
    repository.add("double")
    security = Security(files.server_cert, files.server_key, tls_client_ca=files.authority)
    tls = {"ssl": True, "root_certificates": str(files.authority)}
    own = {"private_key": str(files.client_key), "certificate_chain": str(files.client_cert)}

    with make_server(security=security) as server:
        assert double(server.grpc_url, **tls, **own) == 42
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            double(server.grpc_url, **tls)


def test_the_key_is_required_over_grpc_and_http(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")
    body = b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [21]}]}'

    with make_server(security=Security(api_key=API_KEY)) as server:
        assert double(server.grpc_url, HEADER) == 42
        with pytest.raises(InferenceServerException, match="restricted"):
            double(server.grpc_url)
        infer = f"{server.http_url}/v2/models/double/infer"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(infer, body)
        allowed = urllib.request.Request(infer, body, {"api-key": API_KEY})
        assert urllib.request.urlopen(allowed).status == 200


def test_http_stays_on_loopback_where_security_is_on(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")

    with make_server(host="0.0.0.0", security=Security(api_key=API_KEY)) as server:  # noqa: S104
        log = server.log_path.read_text()

    assert f"Started HTTPService at 127.0.0.1:{server.http_port}" in log
    assert f"Started GRPCInferenceService at 0.0.0.0:{server.grpc_port}" in log


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tls_cert": Path(__file__)}, "tls_cert and tls_key belong together"),
        ({"tls_client_ca": Path(__file__)}, "needs tls_cert and tls_key"),
        ({"tls_cert": Path("nowhere"), "tls_key": Path(__file__)}, "nowhere: no such file"),
        ({"api_key": "with space"}, "letters and digits"),
        ({"api_key": ""}, "letters and digits"),
    ],
)
def test_half_a_configuration_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SecurityError, match=message):
        Security(**settings)


# Whatever Triton 2.51 takes a body for over HTTP.
POST_PATHS = (
    "/v2/models/double/infer",
    "/v2/models/double/versions/1/infer",
    "/v2/models/double/generate",
    "/v2/models/double/generate_stream",
    "/v2/models/double/trace/setting",
    "/v2/repository/index",
    "/v2/repository/models/double/load",
    "/v2/repository/models/double/unload",
    "/v2/systemsharedmemory/region/mine/register",
    "/v2/systemsharedmemory/unregister",
    "/v2/cudasharedmemory/region/mine/register",
    "/v2/trace/setting",
    "/v2/logging",
)
PARSER_KILLER = b'{"inputs":' + b"[" * 120_000


def http_status(server: LocalServer, method: str, path: str, body: bytes, **headers: str) -> int:
    """0 where the connection breaks."""
    request = urllib.request.Request(server.http_url + path, body, headers, method=method)
    try:
        return int(urllib.request.urlopen(request, timeout=60).status)
    except urllib.error.HTTPError as exc:
        exc.close()
        return exc.code
    except OSError:
        return 0


def test_a_body_that_kills_the_parser_does_not_reach_it_where_a_key_is_set(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")

    with make_server(security=Security(api_key=API_KEY)) as server:
        for path in POST_PATHS:
            for headers in ({}, {"api-key": "wrong"}):
                assert http_status(server, "POST", path, PARSER_KILLER, **headers) == 403, path
        assert double(server.grpc_url, HEADER) == 42
        server.check()


@pytest.mark.parametrize("security", [Security(), Security(api_key=API_KEY)], ids=["open", "key"])
def test_what_no_client_needs_is_closed_to_all(
    repository: Repository, make_server: Callable[..., LocalServer], security: Security
) -> None:
    repository.add("double")
    headers = HEADER if security.api_key else {}
    http_headers = {"api-key": API_KEY} if security.api_key else {}

    with make_server(security=security) as server:
        with triton.InferenceServerClient(server.grpc_url) as client:
            for ask in (
                lambda: client.register_system_shared_memory("mine", "/mine", 8, headers=headers),
                lambda: client.get_system_shared_memory_status(headers=headers),
                lambda: client.unregister_system_shared_memory(headers=headers),
                lambda: client.get_cuda_shared_memory_status(headers=headers),
                lambda: client.update_trace_settings("double", {"trace_level": ["TENSORS"]}, headers=headers),
                lambda: client.update_log_settings({"log_verbose_level": 1}, headers=headers),
            ):
                with pytest.raises(InferenceServerException, match="restricted"):
                    ask()
        for path in POST_PATHS:
            if "sharedmemory" in path or "trace" in path or "logging" in path:
                assert http_status(server, "POST", path, b"{}", **http_headers) == 403, path
        assert double(server.grpc_url, headers) == 42


def test_models_are_listed_and_not_controlled_where_triton_does_not_allow_it(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")

    with make_server() as server, triton.InferenceServerClient(server.grpc_url) as client:
        (listed,) = client.get_model_repository_index().models
        assert listed.name == "double"
        for ask in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="not allowed"):
                ask("double")


@pytest.mark.parametrize(
    "flags", [("--model-control-mode=explicit",), ("--model-control-mode", "explicit")], ids=["one", "two"]
)
def test_explicit_control_is_closed_unless_it_is_asked_for(
    repository: Repository, make_server: Callable[..., LocalServer], flags: tuple[str, ...]
) -> None:
    repository.add("double")
    arguments = (*flags, "--load-model=double")

    with (
        make_server(arguments=arguments) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):
        assert server.models() == ("double",)
        for ask in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="restricted"):
                ask("double")
        assert http_status(server, "POST", "/v2/repository/models/double/load", b"{}") == 403
        assert double(server.grpc_url) == 42
    with (
        make_server(arguments=arguments, security=Security(model_control=True)) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):
        client.unload_model("double")
        client.load_model("double")
        assert double(server.grpc_url) == 42


def test_a_users_own_restrictions_stand(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")
    flag = "--grpc-restricted-protocol=shared-memory,statistics:mine=sesame"

    with (
        make_server(arguments=(flag,), security=Security(api_key=API_KEY)) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):
        client.get_system_shared_memory_status(headers={"triton-grpc-protocol-mine": "sesame"})
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_inference_statistics("double", headers=HEADER)
        assert double(server.grpc_url, HEADER) == 42


def test_keys_are_not_to_be_read_off_the_running_server(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")

    with make_server(security=Security(api_key=API_KEY)) as server:
        assert not server.shows_secrets
        command_lines = {
            path: path.read_bytes()
            for process in Path("/proc").glob("[0-9]*")
            if os.getpgid(int(process.name)) == server.pid
            for path in [process / "cmdline"]
        }
        assert len(command_lines) == 2  # tritonserver and the stub
        for content in command_lines.values():
            assert API_KEY.encode() not in content
            assert server.http_endpoint.headers["bertriton-closed"].encode() not in content
        assert double(server.grpc_url, HEADER) == 42  # and the server still knows it


def test_metrics_stay_on_loopback_unless_they_are_asked_for_elsewhere(
    repository: Repository, make_server: Callable[..., LocalServer]
) -> None:
    repository.add("double")

    with make_server(host="0.0.0.0") as server:  # noqa: S104
        log = server.log_path.read_text()
    with make_server(metrics_host="0.0.0.0") as other:  # noqa: S104
        other_log = other.log_path.read_text()

    assert f"Started Metrics Service at 127.0.0.1:{server.metrics_port}" in log
    assert f"Started HTTPService at 0.0.0.0:{server.http_port}" in log
    assert f"Started Metrics Service at 0.0.0.0:{other.metrics_port}" in other_log


def test_a_key_of_another_certificate_is_named(files: Files) -> None:
    with pytest.raises(SecurityError, match=r"client_key\.pem is not the private key of .*server\.pem"):
        Security(tls_cert=files.server_cert, tls_key=files.client_key)


def test_a_good_key_of_another_type_is_told_as_such(tmp_path: Path) -> None:
    for name, kind in (("rsa", trustme.KeyType.RSA), ("ecdsa", trustme.KeyType.ECDSA)):
        issued = trustme.CA().issue_cert("localhost", key_type=kind)
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")

    with pytest.raises(SecurityError, match=r"ecdsa\.key is not the private key of .*rsa\.pem"):
        Security(tls_cert=tmp_path / "rsa.pem", tls_key=tmp_path / "ecdsa.key")


def test_a_pair_that_was_exchanged_for_a_wrong_one_is_named_at_the_start(
    repository: Repository, make_server: Callable[..., LocalServer], files: Files
) -> None:
    repository.add("double")
    server = make_server(security=Security(tls_cert=files.server_cert, tls_key=files.server_key))
    files.server_key.write_bytes(files.client_key.read_bytes())

    with pytest.raises(SecurityError, match="is not the private key of"):
        server.start()


def test_files_that_are_no_pem_and_keys_with_a_passphrase_are_named(files: Files, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    cut = tmp_path / "cut.pem"
    cut.write_bytes(files.server_cert.read_bytes() + files.server_cert.read_bytes()[:400])
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(files.server_key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )

    with pytest.raises(SecurityError, match=r"nonsense\.pem .*expected PEM files"):
        Security(tls_cert=files.server_cert, tls_key=nonsense)
    with pytest.raises(SecurityError, match=r"nonsense\.pem.*expected PEM files"):
        Security(tls_cert=nonsense, tls_key=files.server_key)
    with pytest.raises(SecurityError, match=r"nonsense\.pem holds no certificate"):
        Security(files.server_cert, files.server_key, tls_client_ca=nonsense)
    with pytest.raises(SecurityError, match=r"cut\.pem holds a certificate that cannot be read"):
        Security(files.server_cert, files.server_key, tls_client_ca=cut)
    with pytest.raises(SecurityError, match=r"locked\.pem has a passphrase"):
        Security(tls_cert=files.server_cert, tls_key=locked)
