"""The clients: what a call may say, what happens to its texts, and the two that wait for answers.

In: texts and options. Out: classifications in the order of the texts. Every decision is made in generators
that do no waiting; `Client` and `AsyncClient` carry out the steps that these yield.
"""

from bertriton._clients.async_client import AsyncClient
from bertriton._clients.client import Client
from bertriton._clients.options import SERVER_PARAMETERS, CallOptions, ClientChanges

__all__ = ["SERVER_PARAMETERS", "AsyncClient", "CallOptions", "Client", "ClientChanges"]
