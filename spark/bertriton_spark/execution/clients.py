"""The clients of this process, one an address, made where they are used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyspark import TaskContext

from bertriton import Client, RequestLimits, RetryPolicy
from bertriton_spark.local import local_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bertriton._access import Access
    from bertriton_spark.execution.plan import Plan

# The timeout ends tries, not their number; a worker may well start while its server is being replaced.
_MAX_ATTEMPTS: Final = 1_000
_FIRST_CONTACT_ATTEMPTS: Final = 30
# Each request under way comes back about once a second while servers are full of other executors' texts.
_RETRIES_PER_S_AND_REQUEST: Final = 2.0


@dataclass(frozen=True)
class Connection:
    """What makes a client; two partitions with the same one share it."""

    url: str
    model: str | None
    access: Access
    timeout_s: float
    in_flight: int
    rows_per_request: int | None


_clients: Final[dict[tuple[int, Connection], Client]] = {}


def client_of(connection: Connection) -> Client:
    """The client of this process for a connection, made at its first use."""
    key = (os.getpid(), connection)  # a fork must not use its parent's
    client = _clients.get(key)
    if client is None:
        client = _clients[key] = _new_client(connection)
    return client


def connection_of(plan: Plan) -> Connection:
    """Where this task asks; the host's own server is started if it is to be asked and does not run.

    Raises:
        LocalServerError: the host's own server did not start.
    """
    return Connection(
        _url_of(plan),
        plan.model,
        plan.access,
        plan.timeout_s,
        plan.in_flight,
        plan.rows_per_request,
    )


def spread_address(urls: Sequence[str], partition: int, attempt: int) -> str:
    """The address that a partition asks: the next one for the next partition, and for the next try of a task.

    Example:
        >>> spread_address(["a:8001", "b:8001"], partition=3, attempt=0)
        'b:8001'
    """
    return urls[(partition + attempt) % len(urls)]


def _url_of(plan: Plan) -> str:
    if plan.local is not None:
        return local_url(plan.local.source, plan.local.name, plan.local.precision)
    task = TaskContext.get()
    if task is None:  # in the driver
        return plan.urls[0]
    return spread_address(plan.urls, task.partitionId(), task.attemptNumber())


def _new_client(connection: Connection) -> Client:
    return Client(
        connection.url,
        connection.model,
        timeout=connection.timeout_s,
        retry=RetryPolicy(
            max_attempts=_MAX_ATTEMPTS,
            first_contact_attempts=_FIRST_CONTACT_ATTEMPTS,
            budget_per_s=_RETRIES_PER_S_AND_REQUEST * connection.in_flight,
        ),
        limits=RequestLimits(rows=connection.rows_per_request, in_flight=connection.in_flight),
        **connection.access.client_settings(),
    )
