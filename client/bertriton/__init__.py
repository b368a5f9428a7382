"""A thin client for BERT text classifiers on NVIDIA Triton.

Example:
    >>> from bertriton import Client
    >>> with Client("localhost:8001") as client:
    ...     client.classify("What a lovely film.").label
    'pos'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertriton._clients import AsyncClient, CallOptions, Client, ClientChanges, RequestOptions
    from bertriton._config import Keepalive, RequestLimits, RetryPolicy, Tls
    from bertriton._errors import (
        AccessDeniedError,
        BertritonError,
        ClientClosedError,
        ConnectionFailedError,
        DeadlineError,
        InvalidOptionError,
        InvalidTextError,
        ModelNotFoundError,
        ModelNotReadyError,
        OverloadedError,
        ServerFailureError,
        ServiceError,
        UnavailableError,
        UnexpectedAnswerError,
        UsageError,
        WrongEventLoopError,
        WrongProcessError,
    )
    from bertriton._types import Classification, RankedDocument, ServedClassifier, Text, Truncation
    from bertriton.contract import ClassifierInfo

__version__ = "0.2.0"

__all__ = [
    "AccessDeniedError",
    "AsyncClient",
    "BertritonError",
    "CallOptions",
    "Classification",
    "ClassifierInfo",
    "Client",
    "ClientChanges",
    "ClientClosedError",
    "ConnectionFailedError",
    "DeadlineError",
    "InvalidOptionError",
    "InvalidTextError",
    "Keepalive",
    "ModelNotFoundError",
    "ModelNotReadyError",
    "OverloadedError",
    "RankedDocument",
    "RequestLimits",
    "RequestOptions",
    "RetryPolicy",
    "ServedClassifier",
    "ServerFailureError",
    "ServiceError",
    "Text",
    "Tls",
    "Truncation",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UsageError",
    "WrongEventLoopError",
    "WrongProcessError",
    "__version__",
]


# gRPC and numpy come with the first name that is asked for: the command line must be there before them, for
# Ctrl-C and for gRPC's log.
_MODULES = ("_clients", "_config", "_errors", "_types", "contract")


def __getattr__(name: str) -> Any:  # noqa: ANN401  # type checkers see the imports above
    if name == "contract":  # a module that was always there
        return import_module("bertriton.contract")
    if name in __all__:
        for module in map(import_module, (f"bertriton.{part}" for part in _MODULES)):
            if name in module.__dict__:
                globals()[name] = module.__dict__[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
