"""What can be said with each call, checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict, get_args

from bertriton._config import valid_timeout_s
from bertriton._errors import InvalidOptionError
from bertriton._types import Aggregation, Truncation

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton._config import RequestLimits, RetryPolicy

_TRUNCATIONS: Final = get_args(Truncation)
_AGGREGATIONS: Final = get_args(Aggregation)
SERVER_PARAMETERS: Final = ("truncation", "max_length", "stride", "aggregation")
_MIN_MAX_LENGTH: Final = 3  # one token between the two that stand around every text


class CallOptions(TypedDict, total=False):
    """Options of one `classify` or `classify_iter`; what is left out is the client's."""

    model: str  # classifier to ask
    version: int | str  # its version; the server's default policy is the newest
    timeout: float  # seconds for the whole call; of classify_iter for each request
    request_id: str  # for the server's log; the requests of a list add "-0", "-1", ...
    top_k: int  # labels kept in `scores`, best first; left out: all, in the model's order
    truncation: Truncation  # what is kept of a text over the limit; left out: "head"
    max_length: int  # tokens read of a text, at most the model's own limit, which it is if left out
    stride: int  # tokens that a window shares with the one before, for truncation "windows"; left out: none
    aggregation: Aggregation  # of the scores of windows; left out: "mean"
    progress: Callable[[int], None]  # called with the number of texts done so far


class ClientChanges(TypedDict, total=False):
    """What `with_options` can change."""

    model: str | None  # classifier to ask
    version: int | str  # its version
    timeout: float  # seconds for each request
    retry: RetryPolicy  # the copy gets a retry budget of its own
    limits: RequestLimits  # how much is sent at once


@dataclass(frozen=True, slots=True)
class CheckedOptions:
    """`CallOptions` with every value in its range; None stands for what was left out."""

    model: str | None = None
    version: int | str = ""
    timeout: float | None = None
    request_id: str | None = None
    top_k: int | None = None
    truncation: Truncation | None = None
    max_length: int | None = None
    stride: int | None = None
    aggregation: Aggregation | None = None
    progress: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None:
            valid_timeout_s(self.timeout)
        valid_version(self.version)
        if self.top_k is not None:
            _at_least("top_k", self.top_k, 1)
        if self.max_length is not None:
            _at_least("max_length", self.max_length, _MIN_MAX_LENGTH)
        if self.stride is not None:
            _at_least("stride", self.stride, 0)
        _one_of("truncation", self.truncation, _TRUNCATIONS)
        _one_of("aggregation", self.aggregation, _AGGREGATIONS)

    @property
    def parameters(self) -> dict[str, int | str]:
        """What the server is told of how to cut texts."""
        values = {name: getattr(self, name) for name in SERVER_PARAMETERS}
        return {name: value for name, value in values.items() if value is not None}


def valid_version(version: int | str) -> str:
    """A version as Triton writes it; the empty string leaves the choice to the server."""
    text = str(version)
    if text and not (text.isascii() and text.isdigit()):
        raise InvalidOptionError(f"version: expected a whole number, found {version!r}")
    return text


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise InvalidOptionError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidOptionError(f"{name}: expected a whole number of at least {least}, found {value!r}")
