"""What both clients share: settings, checks and the flows behind every method; nothing here waits."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bertriton._clients.cache import AnswerCache
from bertriton._clients.call import ClassifyCall, Collaborators
from bertriton._clients.directory import Directory
from bertriton._clients.options import (
    CallOptions,
    CheckedOptions,
    ClientChanges,
    RequestOptions,
    valid_top_k,
    valid_version,
)
from bertriton._clients.sources import DirectSource
from bertriton._clients.tasks import Rerank, ranked
from bertriton._config import (
    CACHE_MAX_AGE_S,
    DEFAULT_TIMEOUT_S,
    DEFAULT_URL,
    PROBE_TEXT,
    READY_TIMEOUT_S,
    Keepalive,
    RequestLimits,
    RetryPolicy,
    valid_count,
    valid_kind,
    valid_text,
    valid_timeout_s,
)
from bertriton._errors import (
    AccessDeniedError,
    InvalidTextError,
    ServiceError,
    WrongProcessError,
)
from bertriton._telemetry import NO_TELEMETRY, open_telemetry
from bertriton._wire import Attempts, Endpoint, Sender, all_headers, encoded_text, infer_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self, Unpack

    from bertriton._clients.sources import Source
    from bertriton._clients.tasks import Task
    from bertriton._config import Tls
    from bertriton._telemetry import Telemetry
    from bertriton._types import RankedDocument, ServedClassifier
    from bertriton._wire import Flow
    from bertriton.contract import ClassifierInfo

_PROBE_RETRIES = RetryPolicy(max_attempts=1)


@dataclass(frozen=True)
class _Settings:
    """What `with_options` can change."""

    model: str | None
    version: str
    timeout_s: float
    limits: RequestLimits
    sender: Sender

    def __post_init__(self) -> None:
        if self.model is not None:
            valid_text("model", self.model, "the name of a classifier")
        valid_kind("limits", self.limits, RequestLimits, "a RequestLimits")


class BaseClient:
    """The settings of `Client` and `AsyncClient`; the connection is made with the first request.

    Args:
        url: `host:port` of Triton's gRPC endpoint, or a gRPC target; `dns:///name:port` spreads requests over
            all addresses of the name.
        model: name of the classifier; may be left out if the server has only one.
        version: its version; default: the server's choice, which is the newest.
        timeout: seconds that each request may take, retries included; never endless.
        retry: when a request is sent again that no server accepted.
        limits: how much is sent at once.
        tls: encryption, and the client's certificate; None: an unencrypted connection.
        token: bearer token, sent as `authorization: Bearer TOKEN`.
        api_key: the key of `bertriton serve --api-key`.
        headers: gRPC metadata to send with every request; values are strings, and bytes where a name ends
            with `-bin`.
        keepalive: pings that find a dead connection.
        channel_args: gRPC channel arguments; each replaces the default of its name.
        cache_size: number of answers to keep for texts that come again; 0 keeps none.
        telemetry: whether to report calls and requests to OpenTelemetry; needs `bertriton[otel]`.

    Raises:
        InvalidOptionError: a setting is out of its range.

    Example:
        >>> client = Client("dns:///triton.example:8001", "reviews", timeout=5.0, tls=Tls())
    """

    def __init__(  # every setting of a client, all but the first two by name
        self,
        url: str = DEFAULT_URL,
        model: str | None = None,
        *,
        version: int | str = "",
        timeout: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        limits: RequestLimits | None = None,
        tls: Tls | None = None,
        token: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        keepalive: Keepalive | None = None,
        channel_args: Mapping[str, int | str] | None = None,
        cache_size: int = 0,
        telemetry: bool = False,
    ) -> None:
        self._url = url
        self._endpoint = Endpoint(
            url,
            tls,
            all_headers(headers, token, api_key),
            keepalive or Keepalive(),
            channel_args or {},
        )
        self._settings = _Settings(
            model=model,
            version=valid_version(version),
            timeout_s=valid_timeout_s(timeout),
            limits=limits or RequestLimits(),
            sender=Sender(retry or RetryPolicy(), self._endpoint),
        )
        self._probe = Sender(_PROBE_RETRIES, self._endpoint)
        self._directory = Directory()
        self._cache = AnswerCache(valid_count("cache_size", cache_size, 0), CACHE_MAX_AGE_S)
        self._telemetry = _telemetry(self._endpoint) if telemetry else NO_TELEMETRY
        self._process_id = os.getpid()
        self._connection = self._connect(self._endpoint)

    def _connect(self, endpoint: Endpoint) -> Any:  # noqa: ANN401, ARG002  # each client has a type of its own
        raise TypeError(f"{type(self).__name__} is abstract: use Client or AsyncClient")

    def __repr__(self) -> str:
        settings = self._settings
        return (
            f"{type(self).__name__}({self._url!r}, model={settings.model!r}, timeout={settings.timeout_s:g})"
        )

    def with_options(self, **changes: Unpack[ClientChanges]) -> Self:
        """A client with other settings over the same connection; closing one closes both.

        Args:
            changes: see `ClientChanges`; the other settings stay.

        Raises:
            InvalidOptionError: a setting is out of its range.

        Example:
            >>> patient = client.with_options(timeout=120)
        """
        unknown = changes.keys() - ClientChanges.__annotations__.keys()
        if unknown:
            raise TypeError(f"with_options() cannot change {', '.join(sorted(unknown))}")
        old = self._settings
        changed = copy.copy(self)
        changed._settings = _Settings(  # noqa: SLF001  # a copy of this very object
            model=changes.get("model", old.model),
            version=valid_version(changes.get("version", old.version)),
            timeout_s=valid_timeout_s(changes.get("timeout", old.timeout_s)),
            limits=changes.get("limits", old.limits),
            sender=Sender(changes["retry"], self._endpoint) if "retry" in changes else old.sender,
        )
        return changed

    def _check_process(self) -> None:
        if os.getpid() != self._process_id:
            raise WrongProcessError(
                f"this client was made in process {self._process_id} and is used in {os.getpid()}: "
                "make one after the fork"
            )

    def _checked(self, options: RequestOptions, allowed: type[RequestOptions]) -> CheckedOptions:
        unknown = options.keys() - allowed.__annotations__.keys()
        if unknown:
            raise TypeError(f"unexpected option {', '.join(sorted(unknown))}")
        values: dict[str, Any] = {"model": self._settings.model, "version": self._settings.version, **options}
        return CheckedOptions(**values)

    def _call(
        self, options: CheckedOptions, task: Task | None = None, *, keep_errors: bool, whole: bool
    ) -> ClassifyCall:
        """A call whose timeout bounds it as a whole, or else each of its requests."""
        self._check_process()
        timeout_s = options.timeout or self._settings.timeout_s
        collaborators = Collaborators(
            self._settings.sender,
            self._directory,
            self._cache,
            self._settings.limits,
            timeout_s,
            self._telemetry,
        )
        bound_s = timeout_s if whole and options.timeout else float("inf")
        return ClassifyCall(
            collaborators,
            options,
            task or options.task(),
            keep_errors=keep_errors,
            call_timeout_s=bound_s,
        )

    def _classify_flow(self, text: object, options: CallOptions, *, keep_errors: bool) -> Flow[None]:
        texts = self._list_of(text, keep_errors=keep_errors)
        if not texts:
            return _empty_flow()
        call = self._call(self._checked(options, CallOptions), keep_errors=keep_errors, whole=True)
        return call.results(DirectSource(texts))

    def _rerank_flow(
        self, query: str, documents: Sequence[str], top_k: int | None, options: RequestOptions
    ) -> Flow[list[RankedDocument]]:
        best = valid_top_k(top_k)
        if not isinstance(query, str):
            raise InvalidTextError(f"query: expected a string, found {type(query).__name__}")
        if isinstance(documents, (str, bytes)):
            raise InvalidTextError(f"documents: expected a list of strings, found {type(documents).__name__}")
        pairs = [(query, document) for document in documents]
        checked = self._checked(options, RequestOptions)
        if not self._list_of(pairs, keep_errors=False):
            return []
        answers = yield from self._call(checked, Rerank(), keep_errors=False, whole=True).whole(pairs)
        return ranked(documents, answers)[:best]

    def _stream_flow(self, source: Source, options: CallOptions, *, keep_errors: bool) -> Flow[None]:
        call = self._call(self._checked(options, CallOptions), keep_errors=keep_errors, whole=False)
        return call.results(source)

    def _list_of(self, text: object, *, keep_errors: bool) -> list[object]:
        if isinstance(text, (str, tuple)):
            return [text]
        if not isinstance(text, list):
            raise InvalidTextError(
                f"text 0: expected a string, a pair of strings or a list of them, found {type(text).__name__}"
            )
        if not keep_errors:
            # Nothing is sent of a list that cannot be answered whole.
            for index, item in enumerate(text):
                encoded_text(item, index, self._settings.limits.text_bytes)
        return text

    def _info_flow(self) -> Flow[ClassifierInfo]:
        self._check_process()
        settings = self._settings
        return (
            yield from self._directory.find(
                settings.sender, settings.model, settings.version, settings.timeout_s
            )
        )

    def _labels_flow(self) -> Flow[tuple[str, ...]]:
        return (yield from self._info_flow()).labels

    def _models_flow(self) -> Flow[list[ServedClassifier]]:
        self._check_process()
        return (yield from self._directory.list(self._settings.sender, self._settings.timeout_s))

    def _readiness_flow(self) -> Flow[bool]:
        """Whether the model classifies a tiny text; without a model, whether the server's only one does."""
        self._check_process()
        timeout_s = min(self._settings.timeout_s, READY_TIMEOUT_S)
        try:
            info = yield from self._directory.find(
                self._probe, self._settings.model, self._settings.version, timeout_s
            )
            # Triton's own word for it is not asked: 2.51 calls a model ready whose process is dead.
            attempts = Attempts(info.name, self._settings.version, "", timeout_s)
            text = encoded_text(PROBE_TEXT, 0, self._settings.limits.text_bytes)
            request = infer_request(info.name, self._settings.version, [text], "")
            yield from self._probe.ask(attempts, "ModelInfer", request)
        except AccessDeniedError:
            raise
        except ServiceError:
            return False
        return True


def _empty_flow() -> Flow[None]:
    """No steps at all."""
    yield from ()


def _telemetry(endpoint: Endpoint) -> Telemetry:
    address = endpoint.address
    return open_telemetry(address.host, address.port) if address else open_telemetry(endpoint.url, None)
