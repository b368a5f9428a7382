"""The tokenizers library, whose errors are of every kind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bertriton_export.errors import CheckpointError, ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def library_errors(file: Path) -> Iterator[None]:
    """What the tokenizers library raises, as a CheckpointError; it panics too, which is no Exception."""
    try:
        yield
    except ExportError:
        raise
    except BaseException as exc:
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        reason = str(exc).partition("\n")[0]
        raise CheckpointError(file, f"the tokenizers library cannot read it: {reason}") from exc
