"""A file of texts classified into another, resumable at any row.

Finished rows lie in parts until all are there; then the parts become the output in one step.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bertriton._clients import SERVER_PARAMETERS
from bertriton._errors import BertritonError, InvalidTextError
from bertriton._files.errors import FileFormatError
from bertriton._files.parts import AddedColumns, Answer, Parts
from bertriton._files.readers import LINE_COLUMN, Reader, Rows, column, opened
from bertriton._files.writers import writer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from bertriton._clients import CallOptions, Client
    from bertriton.contract import ClassifierInfo

CHUNK_ROWS: Final = 2000  # finished rows at risk when the process is killed
_ANSWER_OPTIONS: Final = (*SERVER_PARAMETERS, "model", "version")  # those that change an answer


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
    failed_rows: int = 0  # rows of this run whose text cannot be classified


def run(
    job: FileJob, client: Client, options: CallOptions, report: Callable[[Progress], None] = lambda _: None
) -> Progress:
    """Classify every row that is not in a part yet, then make the output of all parts.

    Raises:
        JobError: the output exists, or the parts belong to another job.
        FileFormatError: the input cannot be read, lacks a column, or has one that would be added.
        ServiceError: the server does not answer; what was finished is kept for the next run.
    """
    reader = opened(job.input)
    try:
        info = client.info
        added = AddedColumns(job.prefix, info.labels if job.all_scores else ())
        _check_columns(job, reader, added.names)
        parts = Parts(job.output, writer_for(job.output, (*reader.columns, *added.names)))
        parts.open(description(job, info, options), overwrite=job.overwrite)
        run = _Run(job, reader, added, parts)
        with closing(run.written_parts(client, options)) as written:
            for _ in written:
                report(run.progress)
    finally:
        reader.close()
    parts.join()
    return run.progress


class _Run:
    """A job under way."""

    def __init__(self, job: FileJob, reader: Reader, added: AddedColumns, parts: Parts) -> None:
        self._job = job
        self._reader = reader
        self._added = added
        self._parts = parts
        self._waiting: deque[Rows] = deque()  # chunks that are read and not yet answered
        self._answers: list[Answer] = []  # for the first rows of the first of them
        self.progress = Progress(parts.row_count, parts.row_count, reader.size)

    def written_parts(self, client: Client, options: CallOptions) -> Generator[None, None, None]:
        """Write one part after the other, also the unfinished one in which the run is interrupted."""
        answers = client.classify_iter(self._texts(), return_exceptions=True, **options)
        try:
            for answer in answers:
                if isinstance(answer, BertritonError) and not isinstance(answer, InvalidTextError):
                    raise answer
                self._answers.append(answer)
                if len(self._answers) == len(self._waiting[0]):
                    self._write()
                    yield
        finally:
            answers.close()
            if self._answers:
                self._write()

    def _texts(self) -> Iterator[Any]:
        job = self._job
        for chunk in self._reader.chunks(CHUNK_ROWS, self._parts.row_count):
            self._waiting.append(chunk)
            texts = column(chunk, job.text_column)
            yield from (
                texts if job.pair_column is None else zip(texts, column(chunk, job.pair_column), strict=True)
            )

    def _write(self) -> None:
        answers, self._answers = self._answers, []
        self._parts.write(self._waiting.popleft()[: len(answers)], self._added.of(answers))
        self.progress.done_rows = self._parts.row_count
        self.progress.failed_rows += sum(isinstance(answer, BertritonError) for answer in answers)
        self.progress.position = self._reader.position


def _check_columns(job: FileJob, reader: Reader, added_names: Sequence[str]) -> None:
    for name in filter(None, (job.text_column, job.pair_column)):
        if name not in reader.columns:
            raise FileFormatError(
                f"{job.input} has no column {name!r}: found {', '.join(reader.columns) or 'none'}"
            )
    taken = sorted(set(added_names) & set(reader.columns))
    if taken:
        raise FileFormatError(f"{job.input} has a column {taken[0]!r} already: choose another --prefix")


def description(job: FileJob, info: ClassifierInfo, options: CallOptions) -> dict[str, Any]:
    """What must be the same for parts to be of use to a later run."""
    status = job.input.stat()
    return {
        "input": [str(job.input.resolve()), status.st_size, status.st_mtime_ns],
        "columns": [job.text_column, job.pair_column, job.prefix, job.all_scores],
        "model": [info.name, info.checkpoint_sha256, job.server],
        "options": {key: value for key, value in sorted(options.items()) if key in _ANSWER_OPTIONS},
    }
