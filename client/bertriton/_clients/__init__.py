"""The clients: what a call may say, what happens to its texts, and the two that wait for answers.

In: texts and options. Out: classifications in the order of the texts. Every decision is made in generators
that do no waiting; `Client` and `AsyncClient` carry out the steps that these yield.
"""

from bertriton._clients.async_client import AsyncClient
from bertriton._clients.client import Client
from bertriton._clients.options import (
    SERVER_PARAMETERS,
    ZERO_SHOT_OPTIONS,
    CallOptions,
    ClientChanges,
    RequestOptions,
    answered_info,
)
from bertriton._clients.sources import Unpaused
from bertriton._clients.tasks import DEFAULT_HYPOTHESIS_TEMPLATE

__all__ = [
    "DEFAULT_HYPOTHESIS_TEMPLATE",
    "SERVER_PARAMETERS",
    "ZERO_SHOT_OPTIONS",
    "AsyncClient",
    "CallOptions",
    "Client",
    "ClientChanges",
    "RequestOptions",
    "Unpaused",
    "answered_info",
]
