"""All that a worker is told: where to ask, how, and what to make of the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bertriton._access import Access
from bertriton_spark.execution.scoring import Scoring

# A batch job waits for a server that is being replaced, rather than fail.
DEFAULT_TIMEOUT_S: Final = 180.0
DEFAULT_IN_FLIGHT: Final = 8  # requests of a partition that are under way at the same time


@dataclass(frozen=True)
class LocalModel:
    """What a host serves where no server is configured."""

    source: str  # a model repository or a checkpoint, on every host, or a hub id
    name: str  # of the classifier
    precision: str | None = None  # that a checkpoint is exported in; None: the exporter's own choice


@dataclass(frozen=True)
class Reading:
    """What is read of a text; None takes the model's own way."""

    max_length: int | None = None  # tokens
    truncation: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a stage wants done with its texts."""

    urls: tuple[str, ...] = ()  # gRPC addresses to spread partitions over; none: the host's own server
    model: str | None = None  # None: the only one of the server
    local: LocalModel | None = None  # what the host's own server serves
    access: Access = field(default_factory=Access)  # its files are on every executor
    timeout_s: float = DEFAULT_TIMEOUT_S  # of each request, retries included
    in_flight: int = DEFAULT_IN_FLIGHT
    rows_per_request: int | None = None  # None: as many as the server takes
    keep_errors: bool = False  # whether a row that fails says so in place of failing its task
    reading: Reading = field(default_factory=Reading)
    scoring: Scoring = field(default_factory=Scoring)

    @property
    def title(self) -> str:
        """What Spark's pages show of it."""
        where = ", ".join(self.urls) or "this host's own server"
        return f"bertriton({self.model or 'classifier'} at {where})"
