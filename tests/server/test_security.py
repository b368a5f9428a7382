"""TLS, client certificates and a shared key, asked for by a real Triton."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import trustme
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
        answer = client.infer("double", [sent], client_timeout=5, headers=headers).as_numpy("y")
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
