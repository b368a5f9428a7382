"""The finished rows of a file job, in parts on disk.

The parts lie in the folder `OUTPUT.partial`. A part appears whole or not at all, and its name says which rows
it holds, so that a later run knows where to go on. Its record beside it tells a part that was damaged since.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bertriton._errors import BertritonError
from bertriton._files.errors import JobError
from bertriton._files.failures import Failures, reason_of
from bertriton._files.folder import (
    DESCRIPTION_NAME,
    PART_SUFFIX,
    RECORD_SUFFIX,
    UNFINISHED_SUFFIX,
    WHOLE_NAME,
    flush,
    remove,
    remove_own,
    require_own,
)
from bertriton._files.formats import Kind
from bertriton._files.lock import FolderLock
from bertriton.contract import MULTI_LABEL, REGRESSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bertriton._files.formats import Columns, Rows, Writer
    from bertriton._types import Classification
    from bertriton.contract import ClassifierInfo

_BLOCK_BYTES: Final = 1 << 20

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


def _read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object beside the parts; None if it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _record(path: Path, failures: Failures) -> dict[str, Any]:
    """What is noted of a part: its content in figures, and which of its rows failed."""
    checksum = size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum, size = zlib.crc32(block, checksum), size + len(block)
    return {"bytes": size, "crc32": checksum, "failures": failures.to_json()}


def _failures_of(path: Path) -> Failures | None:
    """Which rows of a part failed; None if part or record is not as it was written."""
    earlier = _read_object(path.with_suffix(RECORD_SUFFIX))
    if earlier is None:
        return None
    try:
        failures = Failures.from_json(earlier["failures"])
    except (KeyError, TypeError, AttributeError):
        return None
    return failures if _record(path, failures) == earlier else None


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
            self._require_place(overwrite=overwrite)
            require_own(self._folder)
            self._lock.acquire()
            if overwrite:
                remove_own(self._folder)
        path = self._folder / DESCRIPTION_NAME
        if path.exists():
            self._require_same(_read_object(path), description)
        with self._written():
            unfinished = path.with_suffix(UNFINISHED_SUFFIX)
            unfinished.write_text(json.dumps(description))
            self._name_finished(unfinished, path)
            self._take_up()

    def _require_place(self, *, overwrite: bool) -> None:
        if not overwrite and self._output.exists():
            raise JobError(f"{self._output} exists already: remove it or pass --overwrite")
        if not self._output.parent.is_dir():
            raise JobError(f"cannot write {self._output}: there is no folder {self._output.parent}")
        if self._output.is_dir():
            raise JobError(f"cannot write {self._output}: it is a folder")
        if self._output.exists() and not self._output.is_file():
            raise JobError(f"cannot write {self._output}: it is not a regular file")

    def _require_same(self, earlier: dict[str, Any] | None, description: dict[str, Any]) -> None:
        if earlier is None:
            raise JobError(
                f"{self._folder / DESCRIPTION_NAME} is missing or damaged: remove {self._folder} or pass "
                "--overwrite to begin anew"
            )
        if earlier.get("layout") != description["layout"]:
            raise JobError(
                f"{self._folder} was begun by another version of bertriton: finish it with that one, or "
                "remove it or pass --overwrite to begin anew"
            )
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
        path = self._folder / f"{self.row_count:012d}-{len(rows)}{PART_SUFFIX}"
        unfinished = path.with_suffix(UNFINISHED_SUFFIX)
        with self._written():
            self._writer.write_part(unfinished, rows, added)
            # Before the part: what is counted must not be missing when the part is there.
            record = path.with_suffix(RECORD_SUFFIX)
            record.write_text(json.dumps(_record(unfinished, failures)))
            flush(record)
            self._name_finished(unfinished, path)
        self.row_count += len(rows)
        self.failures.merge(failures)

    def join(self) -> None:
        """Make the output of all parts and remove them."""
        whole = self._folder / WHOLE_NAME
        with self._written():
            self._writer.join(self._paths(), whole)
            self._name_finished(whole, self._output)
        remove(self._folder)
        self._lock.release()

    def close(self) -> None:
        """Let another command write there; without any rows nothing is left behind."""
        if self._lock.is_held:
            if not self._paths():
                remove(self._folder)
            self._lock.release()

    def _name_finished(self, unfinished: Path, path: Path) -> None:
        """Give a file its name when its content is on the disk, so that no name stands for less."""
        flush(unfinished)
        unfinished.replace(path)
        flush(path.parent)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """What the system says against writing becomes an error of the job."""
        try:
            yield
        except OSError as exc:
            kept = f"; {self.row_count:,} finished rows are kept in {self._folder}" if self.row_count else ""
            raise JobError(f"cannot write {self._output}: {exc.strerror or exc}{kept}") from exc

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{PART_SUFFIX}"))

    def _take_up(self) -> None:
        """Count the rows that are there; from a damaged part on they are classified again."""
        paths = self._paths()
        for place, path in enumerate(paths):
            first, _, count = path.stem.partition("-")
            if not (first.isdecimal() and count.isdecimal()) or int(first) != self.row_count:
                raise JobError(
                    f"{path}: expected a part from row {self.row_count} on: pass --overwrite to start anew"
                )
            failures = _failures_of(path)
            if failures is None:
                for damaged in paths[place:]:
                    damaged.unlink()
                return
            self.row_count += int(count)
            self.failures.merge(failures)
