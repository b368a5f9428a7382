"""What every format of files does: the faces of its reader and its writer, and what those of lines share."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Protocol

from bertriton._files.errors import FileFormatError
from bertriton._files.formats.lines import LineFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bertriton._files.formats.rows import Columns, Kind, Rows


class Reader(Protocol):
    """One format of input."""

    size: int  # of the input, in the unit of `position`
    has_header: bool  # whether `columns` is known before all rows are read
    is_typed: bool  # whether rows need not be read to know that they are whole and of one type

    def __init__(self, path: Path) -> None: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, also of those that appear late."""

    @property
    def position(self) -> int:
        """How much of `size` is read."""

    @property
    def schema(self) -> Any:  # noqa: ANN401  # pyarrow is untyped
        """The pyarrow.Schema of a typed input, None of others."""

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        """The rows after the skipped ones, in order; a second time from the start again."""

    def close(self) -> None:
        """Close the file."""


class Writer(Protocol):
    """One format of output.

    All rows of an input without types pass `check` before the first text is sent; then `begin` says what
    will be written.
    """

    checks_typed: bool  # whether rows of a typed input can be refused, too

    def check(self, rows: Rows, first_row: int) -> None:
        """Refuse what this format cannot hold, by its row; rows count from 1."""

    def begin(self, columns: Sequence[str], schema: Any, added: Mapping[str, Kind]) -> None:  # noqa: ANN401
        """Say which columns the rows have, the schema of typed ones, and what is added."""

    def write_part(self, path: Path, rows: Rows, added: Columns) -> None:
        """Write some rows with the added columns into a file of their own."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of the parts, in their order."""


class LineReader:
    """What the formats of lines share: the file, its size in bytes, rows as dictionaries."""

    has_header = True
    is_typed = False
    schema = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = LineFile(path)
        self.size = self._file.size

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._file.position

    def chunks(self, rows_per_chunk: int, skipped_rows: int) -> Iterator[Rows]:
        """The rows after the skipped ones, in order; a second time from the start again."""
        rows = islice(self._rows(), skipped_rows, None)
        while chunk := list(islice(rows, rows_per_chunk)):
            yield chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rows(self) -> Iterator[dict[str, Any]]:
        raise TypeError(f"{type(self).__name__} is abstract")


def require_distinct(path: Path, columns: Iterable[str]) -> None:
    """See that no two columns have one name, since one would hide the other.

    Raises:
        FileFormatError: two have.
    """
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise FileFormatError(f"{path} has several columns of one name: {', '.join(map(repr, repeated))}")


def append_all(parts: Sequence[Path], file: IO[bytes]) -> None:
    """Copy the parts to the end of a file, in their order."""
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file)
