"""The moments of a call and of its requests, and what is said of them by default: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from bertriton._errors import BertritonError

Metadata: TypeAlias = "tuple[tuple[str, str], ...]"


class RequestTrace:
    """One request, from its first try to its answer."""

    metadata: Metadata = ()  # of gRPC, so that the server's own spans join

    def refused(self, error: BertritonError) -> None:
        """A try was taken by nobody."""

    def retried(self, wait_s: float) -> None:
        """It will be sent again after a wait."""

    def ended(self, attempts: int, error: BaseException | None = None) -> None:
        """It was answered, or failed for good; what else comes after that is not told."""


class CallTrace:
    """One call, from its texts to their answers."""

    def found(self, model: str, version: str) -> None:
        """It is known which classifier is asked."""

    def request(self, rows: int, request_id: str) -> RequestTrace:
        """A request is about to be sent."""
        del rows, request_id
        return SILENT_REQUEST

    def ended(self, texts: int, error: BaseException | None = None) -> None:
        """It is over; without an error the caller may have left early."""


class Telemetry:
    """A client's calls."""

    def call(self, operation: str) -> CallTrace:
        """A call begins."""
        del operation
        return SILENT_CALL


SILENT_REQUEST: Final = RequestTrace()
SILENT_CALL: Final = CallTrace()
NO_TELEMETRY: Final = Telemetry()
