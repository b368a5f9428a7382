"""Certificates and keys that cannot be used are told by name, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from bertriton import Client, InvalidOptionError, Tls

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("content", "problem"), [(None, "cannot read"), (b"nothing", "expected a PEM file")])
def test_a_file_that_is_no_pem_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidOptionError, match=f"Tls.authority: {problem}"):
        Client(tls=Tls(path))


def test_an_authority_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")

    with pytest.raises(InvalidOptionError, match=r"Tls.authority: expected a certificate, found a PEM file"):
        Client("localhost:1", tls=Tls(authority=tmp_path / "key.pem")).models()


def test_an_authority_that_was_cut_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pem"
    cut.write_bytes(trustme.CA().cert_pem.bytes()[:300])

    with pytest.raises(InvalidOptionError, match=r"Tls.authority: expected whole certificates.*cut\.pem"):
        Client("localhost:1", tls=Tls(authority=cut))


def test_a_good_key_of_another_type_is_told_as_such(tmp_path: Path) -> None:
    authority = trustme.CA()
    for name, kind in (("rsa", trustme.KeyType.RSA), ("ecdsa", trustme.KeyType.ECDSA)):
        issued = authority.issue_cert("localhost", key_type=kind)
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")

    with pytest.raises(InvalidOptionError, match=r"ecdsa\.key is not the private key of .*rsa\.pem"):
        Client("localhost:1", tls=Tls(None, tmp_path / "rsa.pem", tmp_path / "ecdsa.key"))
