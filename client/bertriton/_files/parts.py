"""The finished rows of a file job, in parts on disk.

The parts lie in the folder `OUTPUT.partial`. A part appears whole or not at all, and its name says which rows
it holds, so that a later run knows where to go on.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bertriton._errors import BertritonError
from bertriton._files.errors import JobError
from bertriton._files.failures import Failures, reason_of
from bertriton._files.formats import Kind
from bertriton._files.lock import LOCK_NAME, FolderLock
from bertriton.contract import MULTI_LABEL, REGRESSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bertriton._files.formats import Columns, Rows, Writer
    from bertriton._types import Classification
    from bertriton.contract import ClassifierInfo

_DESCRIPTION: Final = "job.json"
_PART_SUFFIX: Final = ".part"
_FAILURES_SUFFIX: Final = ".failures"

Answer: TypeAlias = "Classification | BertritonError"

# Of what every model gives; `labels` and `value` come where the model has them.
_FIELD_TO_KIND: Final = {
    "label": Kind.WORD,
    "score": Kind.NUMBER,
    "token_count": Kind.COUNT,
    "truncated": Kind.FLAG,
    "windows": Kind.COUNT,
}


class AddedColumns:
    """The answers as columns."""

    def __init__(self, prefix: str, info: ClassifierInfo, *, all_scores: bool) -> None:
        fields = dict(_FIELD_TO_KIND)
        if info.problem_type == MULTI_LABEL:
            fields["labels"] = Kind.WORDS
        if info.problem_type == REGRESSION and len(info.labels) == 1:
            fields["value"] = Kind.NUMBER
        labels = info.labels if all_scores else ()
        self._fields = {prefix + name: name for name in fields}
        self._scores = {f"{prefix}score_{label}": label for label in labels}
        self._error = prefix + "error"
        self.kinds: dict[str, Kind] = {
            **{prefix + name: kind for name, kind in fields.items()},
            **dict.fromkeys(self._scores, Kind.NUMBER),
            self._error: Kind.WORD,
        }
        self.names = tuple(self.kinds)

    def of(self, answers: Sequence[Answer]) -> Columns:
        """Where a text cannot be classified the last column has the reason and the others nothing."""
        columns: Columns = {name: [] for name in self.names}
        for answer in answers:
            for name, value in self._values(answer).items():
                columns[name].append(value)
        return columns

    def _values(self, answer: Answer) -> dict[str, Any]:
        if isinstance(answer, BertritonError):
            return dict.fromkeys(self.names) | {self._error: reason_of(answer)}
        fields = {name: getattr(answer, field) for name, field in self._fields.items()}
        scores = {name: answer.scores[label] for name, label in self._scores.items()}
        return {**fields, **scores, self._error: None}


def _words(model: object) -> str:
    """Name, fingerprint and, where only one may answer, server, for people."""
    return " ".join(str(part) for part in model if part) if isinstance(model, list) else "unknown"


def parts_folder(output: Path) -> Path:
    """Where the parts of an output lie until all are there: beside it, or beside what it is a link to."""
    followed = _followed(output)
    return followed.with_name(followed.name + ".partial")


def _followed(output: Path) -> Path:
    """What a link leads to, so that the output is written there and the link stays."""
    return Path(os.path.realpath(output)) if os.path.islink(output) else output  # noqa: PTH114 (raises nothing)


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object beside the parts.

    Raises:
        JobError: it is missing or damaged, as by a machine that lost its power.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise JobError(
            f"{path} is missing or damaged: remove {path.parent} or pass --overwrite to begin anew"
        )
    return found


class Parts:
    """The finished rows of a job on disk."""

    def __init__(self, output: Path, writer: Writer) -> None:
        self._output = _followed(output)
        self._folder = parts_folder(output)
        self._lock = FolderLock(self._folder)
        self._writer = writer
        self.row_count = 0
        self.failures = Failures()  # of all rows that are there

    def open(self, description: dict[str, Any], *, overwrite: bool) -> None:
        """Begin the job, or take up one of the same description.

        Raises:
            JobError: the output is there already or cannot be written, the parts belong to another job, or
                another command writes them now.
        """
        with self._written():
            if not overwrite and self._output.exists():
                raise JobError(f"{self._output} exists already: remove it or pass --overwrite")
            if not self._output.parent.is_dir():
                raise JobError(f"cannot write {self._output}: there is no folder {self._output.parent}")
            if self._output.is_dir():
                raise JobError(f"cannot write {self._output}: it is a folder")
            if self._output.exists() and not self._output.is_file():
                raise JobError(f"cannot write {self._output}: it is not a regular file")
            self._lock.acquire()
            if overwrite:
                self._empty()
        path = self._folder / _DESCRIPTION
        if path.exists():
            self._require_same(_read_object(path), description)
        with self._written():
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(description))
            unfinished.replace(path)
        self.row_count = self._counted_rows()

    def _require_same(self, earlier: dict[str, Any], description: dict[str, Any]) -> None:
        if earlier.get("model") != description["model"]:
            raise JobError(
                f"{self._folder} has rows that another model answered: {_words(earlier.get('model'))}. The "
                f"server has {_words(description['model'])}: serve the other one again to go on, or pass "
                "--overwrite to begin anew"
            )
        if earlier != description:
            other = ", ".join(key for key in description if earlier.get(key) != description[key])
            raise JobError(
                f"{self._folder} belongs to a run with another input or option ({other}): remove it or pass "
                "--overwrite"
            )

    def write(self, rows: Rows, added: Columns, failures: Failures) -> None:
        """Add rows; the part appears under its name only when it is whole."""
        path = self._folder / f"{self.row_count:012d}-{len(rows)}{_PART_SUFFIX}"
        unfinished = path.with_suffix(".unfinished")
        with self._written():
            self._writer.write_part(unfinished, rows, added)
            # Before the part: what is counted must not be missing when the part is there.
            path.with_suffix(_FAILURES_SUFFIX).write_text(json.dumps(failures.to_json()))
            unfinished.replace(path)
        self.row_count += len(rows)
        self.failures.merge(failures)

    def join(self) -> None:
        """Make the output of all parts and remove them."""
        whole = self._folder / "whole"
        with self._written():
            self._writer.join(self._paths(), whole)
            whole.replace(self._output)
        # Another command may take the folder as soon as its lock is gone.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.release()

    def close(self) -> None:
        """Let another command write there; without any rows nothing is left behind."""
        if self._lock.is_held:
            if not self._paths():
                shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release()

    @contextmanager
    def _written(self) -> Iterator[None]:
        """What the system says against writing becomes an error of the job."""
        try:
            yield
        except OSError as exc:
            kept = f"; {self.row_count:,} finished rows are kept in {self._folder}" if self.row_count else ""
            raise JobError(f"cannot write {self._output}: {exc.strerror or exc}{kept}") from exc

    def _empty(self) -> None:
        for path in self._folder.iterdir():
            if path.name != LOCK_NAME:
                path.unlink()

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_PART_SUFFIX}"))

    def _counted_rows(self) -> int:
        rows = 0
        for path in self._paths():
            first, _, count = path.stem.partition("-")
            if not (first.isdecimal() and count.isdecimal()) or int(first) != rows:
                raise JobError(f"{path}: expected a part from row {rows} on: pass --overwrite to start anew")
            rows += int(count)
            self.failures.merge(Failures.from_json(_read_object(path.with_suffix(_FAILURES_SUFFIX))))
        return rows
