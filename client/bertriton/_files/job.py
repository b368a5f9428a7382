"""A file of texts classified into another, resumable at any row.

Finished rows lie in parts until all are there; then the parts become the output in one step.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bertriton._clients import SERVER_PARAMETERS, ZERO_SHOT_OPTIONS, Unpaused, answered_info
from bertriton._errors import BertritonError, InvalidTextError
from bertriton._files.errors import FileFormatError, JobError
from bertriton._files.failures import Failures
from bertriton._files.formats import (
    DELIMITED_SUFFIXES,
    LABEL_SEPARATOR,
    LINE_COLUMN,
    Rows,
    column,
    opened,
    writer_for,
)
from bertriton._files.parts import AddedColumns, Answer, Parts
from bertriton._files.places import require_no_loss
from bertriton.contract import MULTI_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from bertriton._clients import CallOptions, Client
    from bertriton._files.formats import Reader, Writer
    from bertriton.contract import ClassifierInfo

CHUNK_ROWS: Final = 2000  # finished rows at risk when the process is killed
CHECK_SHOWN_AFTER_S: Final = 2.0  # of reading the input for the first time
_COLUMNS_TOLD: Final = 20
_NAME_CHARACTERS_TOLD: Final = 60
_LAYOUT: Final = 3  # of parts; those of another cannot be taken up
_ANSWER_OPTIONS: Final = (
    *SERVER_PARAMETERS,
    *ZERO_SHOT_OPTIONS,
    "model",
    "version",
)  # those that change an answer


@dataclass(frozen=True)
class FileJob:
    """What is classified into what."""

    input: Path
    output: Path
    text_column: str = LINE_COLUMN
    pair_column: str | None = None  # the second text of a pair
    prefix: str = "predicted_"  # of the columns that are added
    all_scores: bool = False  # whether every label gets a column
    overwrite: bool = False  # whether output and parts of an earlier run may be thrown away
    server: str = ""  # where only one server's answers may be in the output: which


@dataclass
class Progress:
    """How far a job is."""

    done_rows: int  # rows in the parts, of earlier runs too
    earlier_rows: int  # rows of earlier runs alone
    size: int  # of the input: bytes, of a Parquet file rows
    position: int = 0  # how much of it is read
    is_checking: bool = False  # whether the input is read for the first time, before any text is sent
    failures: Failures = field(
        default_factory=Failures
    )  # rows of earlier runs, too, that cannot be classified

    @property
    def failed_rows(self) -> int:
        """Rows, of earlier runs too, whose text cannot be classified."""
        return self.failures.count

    @property
    def all_failed(self) -> bool:
        """Whether there are rows, and none of them could be classified."""
        return 0 < self.done_rows == self.failed_rows


def run(
    job: FileJob, client: Client, options: CallOptions, report: Callable[[Progress], None] = lambda _: None
) -> Progress:
    """Classify every row that is not in a part yet, then make the output of all parts.

    Raises:
        JobError: the output exists or is the input, the parts belong to another job, the input changes, or
            another model began to answer; what the first one answered is kept.
        FileFormatError: the input cannot be read, lacks a column, or has one that would be added.
        ServiceError: the server does not answer; what was finished is kept for the next run.
    """
    require_no_loss([job.output], [job.input])
    reader = opened(job.input)
    with closing(reader):
        info = answered_info(client.info, options)
        added = AddedColumns(job.prefix, info, all_scores=job.all_scores)
        if reader.has_header:
            _check_columns(job, reader, added.names)
        writer = writer_for(job.output)
        parts = Parts(job.output, writer)
        with closing(parts):
            input_state = _state(job.input)
            parts.open(description(job, info, options), overwrite=job.overwrite)
            row_count = _check_rows(job, reader, writer, report)
            if row_count or reader.has_header:  # JSON lines without a line have no columns, nor need them
                _check_columns(job, reader, added.names)
            _begin(job, reader, writer, added, info)
            run = _Run(job, reader, added, parts, info, input_state=input_state)
            with closing(run.written_parts(client, options)) as written:
                for _ in written:
                    report(run.progress)
            parts.join()
    return run.progress


def _state(path: Path) -> list[Any]:
    """What tells whether a file was changed."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _check_rows(job: FileJob, reader: Reader, writer: Writer, report: Callable[[Progress], None]) -> int:
    """Read all rows once, so that what cannot be read or written is known before the first text is sent.

    Returns:
        How many they are, 0 where there was nothing to check.
    """
    if reader.is_typed and not writer.checks_typed:
        return 0
    begun_s = time.monotonic()
    first_row = 1
    for rows in reader.chunks(CHUNK_ROWS, 0):
        try:
            writer.check(rows, first_row)
        except FileFormatError as exc:
            raise FileFormatError(f"{job.input} does not fit into {job.output.name}: {exc}") from exc
        first_row += len(rows)
        if time.monotonic() - begun_s > CHECK_SHOWN_AFTER_S:
            report(Progress(0, 0, reader.size, reader.position, is_checking=True))
    return first_row - 1


def _begin(job: FileJob, reader: Reader, writer: Writer, added: AddedColumns, info: ClassifierInfo) -> None:
    if info.problem_type == MULTI_LABEL and job.output.suffix.lower() in DELIMITED_SUFFIXES:
        ambiguous = next((label for label in info.labels if LABEL_SEPARATOR in label), None)
        if ambiguous is not None:
            raise FileFormatError(
                f"{job.output}: the label {ambiguous!r} holds {LABEL_SEPARATOR!r}, which is to stand between "
                "labels: use .jsonl or .parquet output"
            )
    try:
        writer.begin(reader.columns, reader.schema, added.kinds)
    except FileFormatError as exc:
        raise FileFormatError(f"{job.input} does not fit into {job.output.name}: {exc}") from exc


class _Run:
    """A job under way."""

    def __init__(
        self,
        job: FileJob,
        reader: Reader,
        added: AddedColumns,
        parts: Parts,
        info: ClassifierInfo,
        *,
        input_state: list[Any],
    ) -> None:
        self._job = job
        self._info = info
        self._input_state = input_state
        self._reader = reader
        self._added = added
        self._parts = parts
        self._waiting: deque[Rows] = deque()  # chunks that are read and not yet answered
        self._answers: list[Answer] = []  # for the first rows of the first of them
        self.progress = Progress(parts.row_count, parts.row_count, reader.size, failures=parts.failures)

    def written_parts(self, client: Client, options: CallOptions) -> Generator[None, None, None]:
        """Write one part after the other, also the unfinished one in which the run is interrupted."""
        answers = client.classify_iter(Unpaused(self._texts()), return_exceptions=True, **options)
        try:
            for answer in answers:
                if isinstance(answer, BertritonError) and not isinstance(answer, InvalidTextError):
                    raise answer
                self._require_same_model(answer)
                self._answers.append(answer)
                if len(self._answers) == len(self._waiting[0]):
                    self._write()
                    yield
        finally:
            answers.close()
            if self._answers:
                self._write()

    def _require_same_model(self, answer: Answer) -> None:
        """Stop before a row of another model than the one that the job began with."""
        if isinstance(answer, BertritonError) or answer.fingerprint == self._info.fingerprint:
            return
        row = self._parts.row_count + len(self._answers)
        raise JobError(
            f"row {row + 1:,} of {self._job.input} was answered by another model than the job began with: "
            f"{self._info.name} {answer.fingerprint}, not {self._info.name} {self._info.fingerprint}. It was "
            "replaced meanwhile, or replicas differ. Rows before it are kept: serve their model again and "
            "run the same command, or pass --overwrite to begin anew"
        )

    def _texts(self) -> Iterator[Any]:
        job = self._job
        for chunk in self._reader.chunks(CHUNK_ROWS, self._parts.row_count):
            self._waiting.append(chunk)
            texts = column(chunk, job.text_column)
            yield from (
                texts if job.pair_column is None else zip(texts, column(chunk, job.pair_column), strict=True)
            )

    def _require_same_input(self) -> None:
        """Stop before answers stand beside rows that were not checked, or a line that was half there."""
        if not self._job.input.exists() or _state(self._job.input) != self._input_state:
            raise JobError(
                f"{self._job.input} was changed while it was read: when it stays as it is, run the command "
                "again with --overwrite"
            )

    def _write(self) -> None:
        self._require_same_input()
        answers, self._answers = self._answers, []
        failures = Failures()
        failures.add(answers, self._parts.row_count + 1)
        self._parts.write(self._waiting.popleft()[: len(answers)], self._added.of(answers), failures)
        self.progress.done_rows = self._parts.row_count
        self.progress.position = self._reader.position


def _check_columns(job: FileJob, reader: Reader, added_names: Sequence[str]) -> None:
    for name in filter(None, (job.text_column, job.pair_column)):
        if name not in reader.columns:
            raise FileFormatError(f"{job.input} has no column {name!r}: {_found(reader, name)}")
    taken = sorted(set(added_names) & set(reader.columns))
    if taken:
        raise FileFormatError(f"{job.input} has a column {taken[0]!r} already: choose another --prefix")


def _found(reader: Reader, wanted: str) -> str:
    """The columns that there are in place of one, for people."""
    if not reader.columns:
        return "found none" + (", its first line names no columns" if reader.has_header else "")
    more = ", ..." if len(reader.columns) > _COLUMNS_TOLD else ""
    told = f"found {', '.join(map(_shown, reader.columns[:_COLUMNS_TOLD]))}{more}"
    for name in reader.columns:
        if name.strip().casefold() == wanted.strip().casefold():
            return f"{told}; is it {name!r}?"
    return told


def _shown(name: str) -> str:
    """A column's name; in quotes where one would not see it else."""
    if name and name.isprintable() and name == name.strip() and len(name) <= _NAME_CHARACTERS_TOLD:
        return name
    return repr(name[:_NAME_CHARACTERS_TOLD]) + ("..." if len(name) > _NAME_CHARACTERS_TOLD else "")


def description(job: FileJob, info: ClassifierInfo, options: CallOptions) -> dict[str, Any]:
    """What must be the same for parts to be of use to a later run."""
    return {
        "input": _state(job.input),
        "columns": [job.text_column, job.pair_column, job.prefix, job.all_scores],
        "model": [info.name, info.fingerprint, job.server],
        "layout": _LAYOUT,
        "added": list(AddedColumns(job.prefix, info, all_scores=job.all_scores).names),
        "options": {
            # As JSON has them, in which a later run finds them.
            key: list(value) if isinstance(value, tuple) else value
            for key, value in sorted(options.items())
            if key in _ANSWER_OPTIONS
        },
    }
