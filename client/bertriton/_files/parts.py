"""The finished rows of a file job, in parts on disk.

The parts lie in the folder `OUTPUT.partial`. A part appears whole or not at all, and its name says which rows
it holds, so that a later run knows where to go on.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bertriton._errors import BertritonError
from bertriton._files.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton._files.readers import Rows
    from bertriton._files.writers import Columns, Writer
    from bertriton._types import Classification

_DESCRIPTION: Final = "job.json"
_PART_SUFFIX: Final = ".part"

Answer: TypeAlias = "Classification | BertritonError"


class AddedColumns:
    """The answers as columns."""

    def __init__(self, prefix: str, labels: tuple[str, ...]) -> None:
        self._fields = {prefix + name: name for name in ("label", "score", "token_count", "truncated")}
        self._scores = {f"{prefix}score_{label}": label for label in labels}
        self._error = prefix + "error"
        self.names = (*self._fields, *self._scores, self._error)

    def of(self, answers: Sequence[Answer]) -> Columns:
        """Where a text cannot be classified the last column has the reason and the others nothing."""
        columns: Columns = {name: [] for name in self.names}
        for answer in answers:
            for name, value in self._values(answer).items():
                columns[name].append(value)
        return columns

    def _values(self, answer: Answer) -> dict[str, Any]:
        if isinstance(answer, BertritonError):
            return dict.fromkeys(self.names) | {self._error: answer.message}
        fields = {name: getattr(answer, field) for name, field in self._fields.items()}
        scores = {name: answer.scores[label] for name, label in self._scores.items()}
        return {**fields, **scores, self._error: None}


def parts_folder(output: Path) -> Path:
    """Where the parts of an output lie until all are there."""
    return output.with_name(output.name + ".partial")


class Parts:
    """The finished rows of a job on disk."""

    def __init__(self, output: Path, writer: Writer) -> None:
        self._output = output
        self._folder = parts_folder(output)
        self._writer = writer
        self.row_count = 0

    def open(self, description: dict[str, Any], *, overwrite: bool) -> None:
        """Begin the job, or take up one of the same description."""
        if overwrite:
            shutil.rmtree(self._folder, ignore_errors=True)
        elif self._output.exists():
            raise JobError(f"{self._output} exists already: remove it or pass --overwrite")
        path = self._folder / _DESCRIPTION
        if path.exists() and json.loads(path.read_text()) != description:
            raise JobError(
                f"{self._folder} belongs to a run with another input, model or option: "
                "remove it or pass --overwrite"
            )
        self._folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(description))
        self.row_count = self._counted_rows()

    def write(self, rows: Rows, added: Columns) -> None:
        """Add rows; the part appears under its name only when it is whole."""
        path = self._folder / f"{self.row_count:012d}-{len(rows)}{_PART_SUFFIX}"
        unfinished = path.with_suffix(".unfinished")
        self._writer.write_part(unfinished, rows, added)
        unfinished.replace(path)
        self.row_count += len(rows)

    def join(self) -> None:
        """Make the output of all parts and remove them."""
        whole = self._folder / "whole"
        self._writer.join(self._paths(), whole)
        whole.replace(self._output)
        shutil.rmtree(self._folder)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_PART_SUFFIX}"))

    def _counted_rows(self) -> int:
        rows = 0
        for path in self._paths():
            first, count = map(int, path.stem.split("-"))
            if first != rows:
                raise JobError(f"{path}: expected a part from row {rows} on: pass --overwrite to start anew")
            rows += count
        return rows
