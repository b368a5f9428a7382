"""What a server requires of its callers: TLS, a certificate, a key, a token, headers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tritonclient.grpc import InferenceServerClient

from bertriton import _access
from bertriton._config import API_KEY_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

# What `bertriton.Client` trusts where no authority is named; perf_analyzer brings none.
_KNOWN_AUTHORITIES: Final = files("grpc") / "_cython" / "_credentials" / "roots.pem"


@dataclass(frozen=True)
class Access(_access.Access):
    """Credentials for a server. perf_analyzer gets them as arguments, which other local users can see."""

    @property
    def metadata(self) -> dict[str, str]:
        """The headers of a request, keys and tokens included."""
        token = {"authorization": f"Bearer {self.token}"} if self.token is not None else {}
        key = {API_KEY_HEADER: self.api_key} if self.api_key is not None else {}
        return {**dict(self.headers), **token, **key}

    @contextmanager
    def triton(self, url: str) -> Iterator[InferenceServerClient]:
        """Triton's own client. Pass `metadata` as the headers of its calls."""
        tls = self.tls
        with InferenceServerClient(
            url,
            ssl=tls is not None,
            root_certificates=str(tls.authority or _KNOWN_AUTHORITIES) if tls else None,
            private_key=str(tls.private_key) if tls and tls.private_key else None,
            certificate_chain=str(tls.certificate) if tls and tls.certificate else None,
        ) as client:
            yield client

    def analyzer_arguments(self) -> list[str]:
        """The same as arguments of perf_analyzer, which runs in another folder than this process."""
        arguments = [word for name, value in self.metadata.items() for word in ("-H", f"{name}:{value}")]
        if self.tls is None:
            return arguments
        flag_to_file = {
            "--ssl-grpc-root-certifications-file": self.tls.authority or _KNOWN_AUTHORITIES,
            "--ssl-grpc-private-key-file": self.tls.private_key,
            "--ssl-grpc-certificate-chain-file": self.tls.certificate,
        }
        named = [(flag, str(Path(str(file)).absolute())) for flag, file in flag_to_file.items() if file]
        return [*arguments, "--ssl-grpc-use-ssl", *(word for pair in named for word in pair)]
