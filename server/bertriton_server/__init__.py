"""tritonserver on this machine, without a container: found or installed, started, awaited, stopped."""

from bertriton_server.errors import (
    AddressUnavailableError,
    ModelsNotReadyError,
    NotHealedError,
    RepositoryError,
    RuntimeInstallError,
    RuntimeNotFoundError,
    SecurityError,
    ServerError,
    ServerExitedError,
    StartError,
    StartTimeoutError,
    TracingError,
)
from bertriton_server.local_server import LocalServer, ServerConfig
from bertriton_server.runtime import Runtime, find_runtime, runtime_directory
from bertriton_server.security import Security
from bertriton_server.tracing import Tracing

__all__ = [
    "AddressUnavailableError",
    "LocalServer",
    "ModelsNotReadyError",
    "NotHealedError",
    "RepositoryError",
    "Runtime",
    "RuntimeInstallError",
    "RuntimeNotFoundError",
    "Security",
    "SecurityError",
    "ServerConfig",
    "ServerError",
    "ServerExitedError",
    "StartError",
    "StartTimeoutError",
    "Tracing",
    "TracingError",
    "find_runtime",
    "runtime_directory",
]
