"""Who may talk to a server: TLS, client certificates and a shared key.

Flags of Triton: https://github.com/triton-inference-server/server/blob/main/docs/customization_guide/inference_protocols.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - dataclass fields stay readable by typing.get_type_hints
from typing import Final

from bertriton_server.errors import SecurityError

# The name of the shared key: clients send it in the header triton-grpc-protocol-api-key.
API_KEY_NAME: Final = "api-key"

# All but health, which is for probes.
_GUARDED_BY_KEY: Final = (
    "inference",
    "metadata",
    "model-config",
    "model-repository",
    "shared-memory",
    "statistics",
    "trace",
    "logging",
)
# Over HTTP this server asks itself for the state of its models.
_ASKED_OVER_HTTP: Final = ("metadata", "model-repository")


@dataclass(frozen=True)
class Security:
    """What a client must show; all files are PEM.

    Triton encrypts gRPC alone. So whenever anything here is set, HTTP listens on loopback only; with a key,
    inference over HTTP asks for it too, in the header api-key.
    """

    tls_cert: Path | None = None  # the server's certificate chain
    tls_key: Path | None = None  # its private key
    tls_client_ca: Path | None = None  # authorities of client certificates, which then are required
    api_key: str | None = None  # a secret that every request must carry

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
        for file in (self.tls_cert, self.tls_key, self.tls_client_ca):
            if file is not None and not file.is_file():
                raise SecurityError(f"{file}: no such file")

    @property
    def is_on(self) -> bool:
        """Whether anything is asked of clients."""
        return self.tls_cert is not None or self.api_key is not None

    def arguments(self) -> list[str]:
        """The flags of tritonserver."""
        arguments = []
        if self.tls_cert:
            arguments += [
                "--grpc-use-ssl=1",
                f"--grpc-server-cert={self.tls_cert}",
                f"--grpc-server-key={self.tls_key}",
            ]
        if self.tls_client_ca:
            arguments += ["--grpc-use-ssl-mutual=1", f"--grpc-root-cert={self.tls_client_ca}"]
        if self.api_key:
            over_http = [name for name in _GUARDED_BY_KEY if name not in _ASKED_OVER_HTTP]
            key = f"{API_KEY_NAME}={self.api_key}"
            arguments += [
                f"--grpc-restricted-protocol={','.join(_GUARDED_BY_KEY)}:{key}",
                f"--http-restricted-api={','.join(over_http)}:{key}",
            ]
        return arguments
