"""A thin client for BERT text classifiers on NVIDIA Triton.

Example:
    >>> from bertriton import Client
    >>> with Client("localhost:8001") as client:
    ...     client.classify("What a lovely film.").label
    'pos'
"""

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
