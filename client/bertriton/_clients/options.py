"""What can be said with each call, checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict, get_args

from bertriton._clients.tasks import DEFAULT_HYPOTHESIS_TEMPLATE, Task, ZeroShot
from bertriton._config import valid_count, valid_text, valid_timeout_s
from bertriton._errors import InvalidOptionError
from bertriton._types import Aggregation, Truncation
from bertriton.contract import MULTI_LABEL, SINGLE_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bertriton._config import RequestLimits, RetryPolicy
    from bertriton.contract import ClassifierInfo

_TRUNCATIONS: Final = get_args(Truncation)
_AGGREGATIONS: Final = get_args(Aggregation)
# What makes classification zero-shot.
ZERO_SHOT_OPTIONS: Final = ("candidate_labels", "hypothesis_template", "multi_label")
SERVER_PARAMETERS: Final = ("truncation", "max_length", "stride", "aggregation")
_MIN_MAX_LENGTH: Final = 3  # one token between the two that stand around every text


class RequestOptions(TypedDict, total=False):
    """Options of every call; for what is left out, the client's setting holds, else the model's.

    Example:
        >>> client.classify(text, truncation="windows", stride=64, timeout=5.0)
    """

    model: str  # name of the classifier
    version: int | str  # its version; default: the server's choice, which is the newest
    timeout: float  # seconds for the whole call; of classify_iter for each request
    request_id: str  # for the server's log; the requests of a list add "-0", "-1", ...
    truncation: Truncation  # which part of a text over the limit is read; default: the model's own
    max_length: int  # tokens read of a text, or of a window; default and maximum: the model's limit
    stride: int  # tokens that a window shares with the one before; default: the model's own
    aggregation: Aggregation  # how the scores of windows are joined; default: the model's own
    progress: Callable[[int], None]  # called with the number of texts done so far


class CallOptions(RequestOptions, total=False):
    """Options of one `classify` or `classify_iter`.

    `candidate_labels` makes it zero-shot: a model of natural language inference is asked whether each text
    entails a sentence about each candidate, and the labels of the answer are the candidates.

    Example:
        >>> client.classify(text, candidate_labels=["politics", "sport"], top_k=1)
    """

    top_k: int  # labels kept in `scores`, best first; default: all, in the model's order
    candidate_labels: Sequence[str]  # the labels of a zero-shot call
    hypothesis_template: str  # its sentence, with {} for the candidate; default: "This example is {}."
    multi_label: bool  # whether each candidate has a probability by itself; default: they add up to 1


class ClientChanges(TypedDict, total=False):
    """Settings that `with_options` can change.

    Example:
        >>> patient = client.with_options(timeout=120, retry=RetryPolicy(max_attempts=60))
    """

    model: str | None  # name of the classifier; None: the server's only one
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
    candidate_labels: Sequence[str] | None = None
    hypothesis_template: str | None = None
    multi_label: bool | None = None
    progress: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        if self.model is not None:
            valid_text("model", self.model, "the name of a classifier")
        if self.timeout is not None:
            valid_timeout_s(self.timeout)
        valid_version(self.version)
        valid_top_k(self.top_k)
        if self.max_length is not None:
            valid_count("max_length", self.max_length, _MIN_MAX_LENGTH)
        if self.stride is not None:
            valid_count("stride", self.stride, 0)
        _one_of("truncation", self.truncation, _TRUNCATIONS)
        _one_of("aggregation", self.aggregation, _AGGREGATIONS)

        self.task()

    def task(self) -> Task:
        """What becomes of each text.

        Raises:
            InvalidOptionError: candidate labels or template are none, or one stands without the other.
        """
        if self.candidate_labels is None:
            for name in ZERO_SHOT_OPTIONS:
                if getattr(self, name) is not None:
                    raise InvalidOptionError(f"{name}: expected candidate_labels with it")
            return Task()
        if isinstance(self.candidate_labels, (str, bytes)):
            raise InvalidOptionError(
                f"candidate_labels: expected a list of texts, found {self.candidate_labels!r}"
            )
        template = self.hypothesis_template
        return ZeroShot(
            tuple(self.candidate_labels),
            DEFAULT_HYPOTHESIS_TEMPLATE if template is None else template,
            bool(self.multi_label),
        )

    @property
    def parameters(self) -> dict[str, int | str]:
        """What the server is told of how to cut texts."""
        values = {name: getattr(self, name) for name in SERVER_PARAMETERS}
        return {name: value for name, value in values.items() if value is not None}


def answered_info(info: ClassifierInfo, options: CallOptions) -> ClassifierInfo:
    """What the answers of a call look like: of a zero-shot call, its candidates are their labels."""
    if "candidate_labels" not in options:
        return info
    problem_type = MULTI_LABEL if options.get("multi_label") else SINGLE_LABEL
    return replace(info, labels=tuple(options["candidate_labels"]), problem_type=problem_type)


def valid_top_k(top_k: int | None) -> int | None:
    """How many are to be given back, at least one; None stands for all."""
    return None if top_k is None else valid_count("top_k", top_k, 1)


def valid_version(version: int | str) -> str:
    """A version as Triton writes it; the empty string leaves the choice to the server."""
    text = str(version)
    if text and not (text.isascii() and text.isdigit()):
        raise InvalidOptionError(f"version: expected a whole number, found {version!r}")
    return text


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise InvalidOptionError(f"{name}: expected one of {', '.join(choices)}, found {value!r}")
