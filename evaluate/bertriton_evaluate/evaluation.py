"""A served model over a file of labelled texts: every text sent once, every figure made of the answers."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import time
from collections.abc import Mapping  # noqa: TC003  # dataclass fields stay readable by typing.get_type_hints
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton import ServiceError, contract
from bertriton._clients import CallOptions
from bertriton._files import FileFormatError, FileJob, description, parts_folder, run
from bertriton_evaluate.errors import EvaluationError, ReportError, UnfinishedError, UnsupportedModelError
from bertriton_evaluate.figures import (
    Comparison,  # dataclass fields
    Metrics,
    WeakSpots,
    metrics,
    weak_spots,
)
from bertriton_evaluate.texts import (
    LabelledTexts,  # likewise
    Predictions,
    read_predictions,
    require_no_predictions,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertriton import Client
    from bertriton._files import Progress
    from bertriton.contract import ClassifierInfo

KEPT_SUFFIX: Final = ".jsonl"


@dataclass(frozen=True)
class Plan:
    """What to evaluate, and where to keep the predictions."""

    texts: LabelledTexts  # the labelled file
    output: Path | None = None  # file of the predictions; None: in the user's cache until the end
    overwrite: bool = False  # whether predictions of an earlier run may be thrown away
    server: str = ""  # name of the server; an interrupted run goes on only with the same one
    options: CallOptions = field(default_factory=CallOptions)  # sent with every request


@dataclass(frozen=True)
class Speed:
    """How fast the texts of this run were answered; those of an interrupted one before it do not count."""

    texts: int  # texts answered
    tokens: int  # as the network read them, after truncation
    seconds: float  # from the first request to the last answer

    @property
    def texts_per_s(self) -> float:
        """Texts a second."""
        return self.texts / self.seconds

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one model on one file."""

    model: str  # name of the classifier
    checkpoint_sha256: str  # of the weights it was made from
    file: str  # name of the file of texts
    file_sha256: str  # of that file
    options: Mapping[str, Any]  # options of the requests, and which part of a long text was read
    metrics: Metrics  # accuracy and all that goes with it
    weak_spots: WeakSpots  # with the texts themselves
    failed: int  # texts that could not be classified; they are in no figure
    first_failure: str | None  # the first of them, and why
    speed: Speed | None  # None if an earlier run had answered all texts
    comparison: Comparison | None = None  # with another model, if there is one

    @property
    def accuracy_of_all(self) -> float:
        """The accuracy with each text that could not be classified counted as wrong."""
        right = sum(row[place] for place, row in enumerate(self.metrics.confusion))
        return right / (self.metrics.texts + self.failed)

    def to_dict(self) -> dict[str, Any]:
        """The evaluation in JSON's own types."""
        document = asdict(self)
        if self.speed:
            document["speed"] |= {
                "texts_per_s": self.speed.texts_per_s,
                "tokens_per_s": self.speed.tokens_per_s,
            }
        return document


def evaluate(
    client: Client, plan: Plan, report: Callable[[Progress], None] = lambda _: None
) -> tuple[Evaluation, Predictions]:
    """Classify every text of a file and compare the answers with the true labels.

    The file's labels are all read before the first text is sent.

    Args:
        client: a client of the server; its `limits` say how many requests are under way at once.
        plan: what to evaluate, and where to keep the predictions.
        report: called with the progress now and then.

    Raises:
        UnsupportedModelError: the model gives no single label.
        LabelError: a label of the file is none of the model's.
        UnfinishedError: the server stopped answering; the same plan goes on where it stopped.
        BertritonError: the file or the server cannot be used.

    Example:
        >>> with Client("localhost:8001") as client:
        ...     evaluation, _ = evaluate(client, Plan(LabelledTexts(Path("reviews.csv"))))
        >>> evaluation.metrics.accuracy
        0.9224
    """
    info = client.info
    require_single_label(info)
    require_no_predictions(plan.texts.file)
    expected = plan.texts.labels(info.labels)
    predictions, speed = predict(client, plan, report)
    if len(predictions.probabilities) != len(expected):
        raise FileFormatError(f"{plan.texts.file} was changed while it was evaluated")
    if not predictions.answered.any():
        raise EvaluationError(f"{plan.texts.file}: no text could be classified: {_first(predictions)}")
    evaluation = Evaluation(
        model=info.name,
        checkpoint_sha256=info.checkpoint_sha256,
        file=plan.texts.file.name,
        file_sha256=_sha256(plan.texts.file),
        options={"truncation": info.truncation, **plan.options},
        metrics=metrics(predictions, expected),
        weak_spots=weak_spots(predictions, plan.texts, expected),
        failed=len(predictions.errors),
        first_failure=_first(predictions),
        speed=speed,
    )
    return evaluation, predictions


def require_single_label(info: ClassifierInfo) -> None:
    """See that a model gives one label a text.

    Raises:
        UnsupportedModelError: it does not.
    """
    if info.problem_type != contract.SINGLE_LABEL:
        raise UnsupportedModelError(
            f"{info.name} is a model for {info.problem_type}: only {contract.SINGLE_LABEL} is evaluated"
        )


def predict(
    client: Client, plan: Plan, report: Callable[[Progress], None]
) -> tuple[Predictions, Speed | None]:
    """The model's answers to all texts, and how fast they came.

    Raises:
        UnfinishedError: the server stopped answering; the same plan goes on where it stopped.
        BertritonError: the file or the server cannot be used.
    """
    info = client.info
    file = plan.output or _kept_file(plan, info)
    seconds, earlier_rows = 0.0, None
    if plan.output or not file.exists():
        started = time.monotonic()
        earlier_rows = _answered(client, plan, file, report).earlier_rows
        seconds = time.monotonic() - started
    predictions = read_predictions(file)
    if plan.output is None:
        file.unlink()
    speed = None if earlier_rows is None else _speed(predictions, earlier_rows, seconds, plan, info)
    return predictions, speed


def _answered(client: Client, plan: Plan, file: Path, report: Callable[[Progress], None]) -> Progress:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return run(_job(plan, file), client, plan.options, report)
    except ServiceError as exc:
        raise UnfinishedError(str(exc), parts_folder(file)) from exc
    except OSError as exc:
        raise ReportError(f"cannot write {exc.filename or file}: {exc.strerror}") from exc


def _job(plan: Plan, output: Path) -> FileJob:
    texts = plan.texts
    return FileJob(
        texts.file,
        output,
        text_column=texts.text_column,
        pair_column=texts.pair_column,
        all_scores=True,
        overwrite=plan.overwrite,
        server=plan.server,
    )


def _kept_file(plan: Plan, info: ClassifierInfo) -> Path:
    """Where predictions lie that nobody asked to keep: one for every plan, model and state of file."""
    folder = _cache() / "bertriton" / "evaluations"
    try:
        what = json.dumps(description(_job(plan, folder), info, plan.options))
    except OSError as exc:
        raise FileFormatError(f"cannot read {plan.texts.file}: {exc.strerror}") from exc
    return folder / (hashlib.sha256(what.encode()).hexdigest() + KEPT_SUFFIX)


def _cache() -> Path:
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache)
    try:
        return Path.home() / ".cache"
    except RuntimeError as exc:  # no HOME, and a user id that no account has
        raise EvaluationError(
            "there is no place to keep predictions: this user has no home directory; "
            "set XDG_CACHE_HOME to a folder that can be written to, or give --output"
        ) from exc


def _speed(
    predictions: Predictions, earlier_rows: int, seconds: float, plan: Plan, info: ClassifierInfo
) -> Speed | None:
    read = predictions.token_counts[earlier_rows:]
    if plan.options.get("truncation", info.truncation) != contract.IN_WINDOWS:
        read = np.minimum(read, plan.options.get("max_length", info.max_length))
    return Speed(len(read), int(read.sum()), seconds) if len(read) else None


def _first(predictions: Predictions) -> str | None:
    return next((f"row {row + 1}: {error}" for row, error in predictions.errors.items()), None)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()
