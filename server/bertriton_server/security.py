"""Who may talk to a server: TLS, client certificates and a shared key.

Flags of Triton: https://github.com/triton-inference-server/server/blob/main/docs/customization_guide/inference_protocols.md
"""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclass fields stay readable by typing.get_type_hints
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import SecurityError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The name of the shared key: clients send it in the header triton-grpc-protocol-api-key.
API_KEY_NAME: Final = "api-key"
# The name of the secret that nobody is told, and its size.
CLOSED_NAME: Final = "bertriton-closed"
_CLOSED_BYTES: Final = 16

# What no client needs, and what every hole of Triton 2.51 goes through that lets one of them do harm.
_CLOSED: Final = ("shared-memory", "trace", "logging")
# Listing models, and where Triton is told to allow it, loading them from files that come along.
_MODEL_REPOSITORY: Final = "model-repository"
_EXPLICIT: Final = "explicit"  # --model-control-mode, which may be spelt in several ways
# With a key, all but health, which is for probes.
_GUARDED_BY_KEY: Final = ("inference", "metadata", "model-config", _MODEL_REPOSITORY, "statistics")
# OpenSSL's words for a good key that is not the certificate's: another number, or RSA for an elliptic curve.
_OF_ANOTHER_PAIR: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_FLAGS: Final = ("--grpc-restricted-protocol", "--http-restricted-api")


@dataclass(frozen=True)
class Security:
    """What clients must show; all files are PEM.

    Triton can encrypt gRPC alone. So if TLS or a key is set here, HTTP listens on loopback only. With a key,
    HTTP asks for it too, in the header `api-key`, before it reads a request's body. Health needs no key.

    Shared memory, tracing and log settings are closed to all clients in any case. So are loading and
    unloading of models, unless `model_control` is set.

    Raises:
        SecurityError: half a pair is given, or files that cannot be used together.

    Example:
        >>> Security(tls_cert=Path("server.pem"), tls_key=Path("server.key"), api_key="secret")
    """

    tls_cert: Path | None = None  # the server's certificate chain
    tls_key: Path | None = None  # its private key
    tls_client_ca: Path | None = None  # authorities of client certificates, which are then required
    api_key: str | None = None  # a key of letters and digits that every request must carry
    model_control: bool = (
        False  # whether clients may load and unload models, under Triton's explicit control mode
    )

    def __post_init__(self) -> None:
        """Refuse half a configuration."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SecurityError("tls_cert and tls_key belong together: give both or neither")
        if self.tls_client_ca and not self.tls_cert:
            raise SecurityError(
                "tls_client_ca asks clients for certificates, which needs tls_cert and tls_key"
            )
        if self.api_key is not None and not self.api_key.isalnum():
            raise SecurityError(
                "api_key must be made of letters and digits, since tritonserver takes it as a flag"
            )
        self.require_usable_files()

    def require_usable_files(self) -> None:
        """See that certificates and keys can be read and belong together.

        Raises:
            SecurityError: they do not; Triton would say that its socket is in use.
        """
        for file in (self.tls_cert, self.tls_key, self.tls_client_ca):
            if file is not None and not file.is_file():
                raise SecurityError(f"{file}: no such file")
        if self.tls_cert and self.tls_key:
            _require_pair(self.tls_cert, self.tls_key)
        if self.tls_client_ca:
            _require_authorities(self.tls_client_ca)

    @property
    def is_on(self) -> bool:
        """Whether anything is asked of clients."""
        return self.tls_cert is not None or self.api_key is not None

    def headers(self, closed_secret: str) -> dict[str, str]:
        """What this machine's own requests over HTTP must carry."""
        key = {API_KEY_NAME: self.api_key} if self.api_key else {}
        return {CLOSED_NAME: closed_secret, **key}

    def arguments(self, closed_secret: str, further: Sequence[str] = ()) -> list[str]:
        """The flags of tritonserver.

        Args:
            closed_secret: what a request to a closed protocol would have to carry; told to nobody.
            further: other flags that tritonserver gets; what they restrict themselves is left to them.
        """
        key_to_protocols = {f"{CLOSED_NAME}={closed_secret}": self._closed(further)}
        if self.api_key:
            guarded = [name for name in _GUARDED_BY_KEY if name not in self._closed(further)]
            key_to_protocols[f"{API_KEY_NAME}={self.api_key}"] = guarded
        return [
            *self._tls_arguments(),
            *(
                f"{flag}={','.join(names)}:{key}"
                for flag in _FLAGS
                for key, protocols in key_to_protocols.items()
                if (names := [name for name in protocols if name not in _restricted_by(further, flag)])
            ),
        ]

    def _closed(self, further: Sequence[str]) -> list[str]:
        is_explicit = any(_EXPLICIT in argument for argument in further)
        is_loading_closed = is_explicit and not self.model_control
        return [*_CLOSED, *([_MODEL_REPOSITORY] if is_loading_closed else [])]

    def _tls_arguments(self) -> list[str]:
        arguments = []
        if self.tls_cert:
            arguments += [
                "--grpc-use-ssl=1",
                f"--grpc-server-cert={self.tls_cert}",
                f"--grpc-server-key={self.tls_key}",
            ]
        if self.tls_client_ca:
            arguments += ["--grpc-use-ssl-mutual=1", f"--grpc-root-cert={self.tls_client_ca}"]
        return arguments


def new_closed_secret() -> str:
    """A secret that nobody can guess."""
    return secrets.token_hex(_CLOSED_BYTES)


def _restricted_by(arguments: Sequence[str], flag: str) -> set[str]:
    """Protocols that a user's own flags restrict."""
    values = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{flag}=")]
    return {name for value in values for name in value.partition(":")[0].split(",")}


def _require_pair(cert: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_refuse_passphrase)
    except ssl.SSLError as exc:
        is_of_another = exc.reason in _OF_ANOTHER_PAIR
        fits = "is not the private key of" if is_of_another else "cannot be read with"
        why = "" if is_of_another else f": {exc.reason or exc}; expected PEM files"
        raise SecurityError(f"tls_key {key} {fits} tls_cert {cert}{why}") from exc
    except _PassphraseError as exc:
        raise SecurityError(f"tls_key {key} has a passphrase, which tritonserver cannot be told") from exc
    except OSError as exc:
        raise SecurityError(f"cannot read tls_cert {cert} and tls_key {key}: {exc.strerror}") from exc


def _require_authorities(file: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=file)
    except ssl.SSLError as exc:
        is_empty = exc.reason == "NO_CERTIFICATE_OR_CRL_FOUND"
        what = "holds no certificate" if is_empty else "holds a certificate that cannot be read"
        raise SecurityError(f"tls_client_ca {file} {what}: expected whole certificates, as PEM") from exc
    except OSError as exc:
        raise SecurityError(f"cannot read tls_client_ca {file}: {exc.strerror}") from exc


class _PassphraseError(Exception):
    """A key cannot be read without one."""


def _refuse_passphrase() -> str:
    raise _PassphraseError
