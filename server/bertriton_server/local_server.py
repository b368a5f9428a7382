"""A tritonserver on this machine, for as long as a `with` block lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_server.errors import RepositoryError, ServerError, ServerExitedError, StartError
from bertriton_server.process import (
    STOP_GRACE_S,
    HttpEndpoint,
    ServerProcess,
    choose_ports,
    ipv4_address,
    is_free,
    ready_models,
    require_open_files,
    wait_until_ready,
)
from bertriton_server.runtime import Runtime, find_runtime
from bertriton_server.security import Security, new_closed_secret
from bertriton_server.tracing import Tracing  # noqa: TC001 - dataclass fields stay readable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType
    from typing import TextIO

    from typing_extensions import Self

LOOPBACK: Final = "127.0.0.1"
FREE_PORT: Final = 0
START_TIMEOUT_S: Final = 120.0

_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared with
_START_ATTEMPTS: Final = 5  # a port that was found free may be lost to another process
_MODEL_CONFIG: Final = "config.pbtxt"
_CONTROL_MODE_FLAG: Final = "--model-control-mode"


@dataclass(frozen=True)
class ServerConfig:
    """What to serve, and where.

    Example:
        >>> ServerConfig(Path("model_repository"), grpc_port=8001, security=Security(api_key="secret"))
    """

    model_repository: Path  # folder that holds one folder per model
    host: str = LOOPBACK  # name or IPv4 address to listen on
    http_port: int = FREE_PORT  # 0 takes any free port
    grpc_port: int = FREE_PORT  # 0 takes any free port
    metrics_port: int = FREE_PORT  # 0 takes any free port
    metrics_host: str = LOOPBACK  # name or IPv4 address for the metrics, which need no key
    start_timeout_s: float = START_TIMEOUT_S  # seconds that the models may take to load
    stop_grace_s: float = STOP_GRACE_S  # seconds for requests in flight at the end; 0 ends the server at once
    completes_configs: bool = False  # whether Triton may fill in what a config.pbtxt lacks; starts slower
    security: Security = field(default_factory=Security)  # what clients must show
    tracing: Tracing | None = None  # where spans of requests are sent
    arguments: tuple[str, ...] = ()  # further tritonserver flags


class LocalServer:
    """A running tritonserver that serves one model repository.

    Entering the `with` block starts it and waits until its models are ready. It leaves no process, file or
    shared memory behind, even if this process is killed. Nothing restarts it by itself, as `bertriton serve`
    does: `check` raises if it has ended, and `restart` starts it again.

    Args:
        config: what to serve; a path alone means `ServerConfig(path)`.
        runtime: which tritonserver to run; None: the one that `find_runtime` finds.
        log_stream: where to copy its log to while it runs; None: the log is in the file `log_path` only.

    Example:
        >>> with LocalServer("model_repository") as server:  # doctest: +SKIP
        ...     print(server.grpc_url)
        127.0.0.1:43817
    """

    def __init__(
        self,
        config: ServerConfig | str | os.PathLike[str],
        *,
        runtime: Runtime | None = None,
        log_stream: TextIO | None = None,
    ) -> None:
        self.config = config if isinstance(config, ServerConfig) else ServerConfig(Path(config))
        self._runtime = runtime
        self._log_stream = log_stream
        self._process: ServerProcess | None = None
        self._closed_secret = new_closed_secret()
        self._service_to_address: dict[str, str] = {}
        self._service_to_port: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def http_port(self) -> int:
        """Port of the HTTP endpoint, known from the first start on."""
        return self._port("http")

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC endpoint, known from the first start on."""
        return self._port("grpc")

    @property
    def metrics_port(self) -> int:
        """Port of the metrics endpoint, known from the first start on."""
        return self._port("metrics")

    @property
    def http_url(self) -> str:
        """`http://host:port`."""
        return f"http://{self._reachable_host_of('http')}:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        """`host:port`, as gRPC clients want it."""
        return f"{self._reachable_host_of('grpc')}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds the server's metrics."""
        return f"http://{self._reachable_host_of('metrics')}:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        """Process id of tritonserver, and of its process group."""
        return self._running.pid

    @property
    def log_path(self) -> Path:
        """The log of the server and its models; removed by `stop`."""
        return self._running.log.path

    @property
    def http_endpoint(self) -> HttpEndpoint:
        """Where the server answers HTTP requests of this process, with the keys that it asks for."""
        headers = self.config.security.headers(self._closed_secret)
        return HttpEndpoint(self._reachable_host_of("http"), self.http_port, headers)

    @property
    def shows_secrets(self) -> bool:
        """Whether every user of this machine can read the server's keys off its command line.

        They can for a moment at each start, and for ever where the system lets nobody write into the memory
        of a child.
        """
        return self._running.shows_secrets

    def start(self) -> None:
        """Start the server and wait until all its models answer.

        Raises:
            RuntimeNotFoundError: there is no tritonserver, see `find_runtime`.
            RuntimeInstallError: there is none, and it could not be installed.
            RepositoryError: the model repository is missing or empty.
            AddressUnavailableError: a port of the config is taken, or its host unknown.
            ModelsNotReadyError: models failed to load.
            ServerExitedError: the server ended while it started.
            StartTimeoutError: it was not ready after `start_timeout_s`.
            SecurityError: certificate and key do not belong together.
            StartError: too few files may be open here.
        """
        config = self.config
        self._start_on({"http": config.http_port, "grpc": config.grpc_port, "metrics": config.metrics_port})

    def restart(self) -> None:
        """End the server at once, requests in flight with it, and start it anew on the same ports.

        Raises:
            ServerError: as `start`; it does not run then, and can be started anew once more.
        """
        ports = {service: self._port(service) for service in self._service_to_port}
        self.stop(grace_s=0)
        self._start_on(ports)

    def _start_on(self, ports: dict[str, int]) -> None:
        if self._process:
            raise ServerError("this server runs already")
        self.config.security.require_usable_files()
        require_open_files()
        models = _expected_models(self.config)
        runtime = self._runtime or find_runtime()
        for _ in range(_START_ATTEMPTS):
            lost_port = self._start_on_free_ports(runtime, models, ports)
            if lost_port is None:
                return
        raise StartError(f"{_START_ATTEMPTS} times in a row another process took a free port") from lost_port

    def stop(self, grace_s: float | None = None, is_in_vain: Callable[[], bool] = lambda: False) -> None:
        """End the server after the requests in flight; does nothing when it does not run.

        Args:
            grace_s: how long those may take; 0 ends it at once, None means the config's `stop_grace_s`.
            is_in_vain: asked again and again meanwhile; True ends the wait. The default never does.
        """
        if self._process:
            try:
                self._process.stop(self.config.stop_grace_s if grace_s is None else grace_s, is_in_vain)
            finally:
                self._process = None

    def check(self) -> None:
        """See that the server still runs.

        Raises:
            ServerExitedError: it ended by itself.
        """
        self._running.require_running()

    def models(self) -> tuple[str, ...]:
        """Names of the models that answer requests, sorted."""
        return ready_models(self.http_endpoint)

    @property
    def _running(self) -> ServerProcess:
        if not self._process:
            raise ServerError("this server does not run: use it in a `with` block, or call start()")
        return self._process

    def _reachable_host_of(self, service: str) -> str:
        address = self._service_to_address.get(service, self.config.host)
        return LOOPBACK if address == _ANY_ADDRESS else address

    def _port(self, service: str) -> int:
        if not self._service_to_port:
            raise ServerError("ports are chosen when the server starts: call start() first")
        return self._service_to_port[service]

    def _start_on_free_ports(
        self, runtime: Runtime, models: frozenset[str], ports: dict[str, int]
    ) -> ServerExitedError | None:
        """Start; return the error when another process took a port after it was found free."""
        config = self.config
        self._service_to_address = self._addresses()
        self._service_to_port = choose_ports(self._service_to_address, ports)
        secrets = [self._closed_secret, *filter(None, [config.security.api_key])]
        process = ServerProcess(runtime, self._arguments(), self._log_stream, secrets=secrets)
        try:
            wait_until_ready(
                process, self.http_endpoint, models, self._addresses_to_wait_for(), config.start_timeout_s
            )
        except BaseException as exc:
            # No request can be in flight yet.
            process.stop(grace_s=0)
            if isinstance(exc, ServerExitedError) and self._has_lost_a_port():
                return exc
            raise
        self._process = process
        return None

    def _addresses_to_wait_for(self) -> list[tuple[str, int]]:
        """Those of gRPC and metrics, unless a flag says that they are not to be had."""
        flags = {argument.partition("=")[0] for argument in self.config.arguments}
        services = [service for service in ("grpc", "metrics") if f"--allow-{service}" not in flags]
        return [(self._reachable_host_of(service), self._port(service)) for service in services]

    def _has_lost_a_port(self) -> bool:
        return not all(
            is_free(self._service_to_address[service], port)
            for service, port in self._service_to_port.items()
        )

    def _arguments(self) -> list[str]:
        config = self.config
        return [
            f"--model-repository={config.model_repository}",
            # It stays up with models that failed, so that each can be asked for its reason.
            "--exit-on-error=false",
            f"--exit-timeout-secs={math.ceil(config.stop_grace_s)}",
            *(f"--{service}-address={address}" for service, address in self._service_to_address.items()),
            *(f"--{service}-port={port}" for service, port in self._service_to_port.items()),
            *([] if config.completes_configs else ["--disable-auto-complete-config"]),
            *(config.tracing.arguments() if config.tracing else []),
            *config.security.arguments(self._closed_secret, config.arguments),
            *config.arguments,
        ]

    def _addresses(self) -> dict[str, str]:
        """Where each service listens: HTTP on loopback where security is on, for Triton cannot encrypt it."""
        config = self.config
        address = ipv4_address(config.host)
        return {
            "http": LOOPBACK if config.security.is_on else address,
            "grpc": address,
            "metrics": ipv4_address(config.metrics_host),
        }


def _expected_models(config: ServerConfig) -> frozenset[str]:
    """The models that the server must load; none when a flag makes that somebody else's decision."""
    repository = config.model_repository
    try:
        folders = [entry for entry in repository.iterdir() if _is_model(entry)]
    except OSError as exc:
        raise RepositoryError(
            f"cannot read model repository {repository}: {exc.strerror}", repository
        ) from exc
    if not folders:
        raise RepositoryError(f"model repository {repository} holds no model: export one to it", repository)
    if any(argument.startswith(_CONTROL_MODE_FLAG) for argument in config.arguments):
        return frozenset()
    return frozenset(folder.name for folder in folders)


def _is_model(folder: Path) -> bool:
    return folder.is_dir() and ((folder / _MODEL_CONFIG).exists() or any(folder.glob("[0-9]*/")))
