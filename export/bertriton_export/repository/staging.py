"""Write a classifier's three models into a model repository: all of them, or nothing.

Everything is written into a staging folder inside the repository and moved into place at the end by
renames, so that a reader sees the old models or the new ones, and a failure leaves the old.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGING_PREFIX: Final = ".bertriton-staging-"


@contextmanager
def staged_repository(repository: Path) -> Iterator[Path]:
    """A folder to write models into, which replace those of the same names when the block ends well.

    Raises:
        RepositoryError: the repository cannot be written to.
    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=repository))
    except OSError as exc:
        raise RepositoryError(f"{repository}: cannot write there: {exc}") from exc
    try:
        (staging / "new").mkdir()
        (staging / "old").mkdir()
        yield staging / "new"
        _swap(repository, staging)
    except OSError as exc:
        raise RepositoryError(f"{repository}: cannot write there: {exc}") from exc
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _swap(repository: Path, staging: Path) -> None:
    """Move new models in and old ones out; on failure put back what was moved."""
    undo: list[tuple[Path, Path]] = []
    try:
        for new in sorted((staging / "new").iterdir()):
            place = repository / new.name
            if place.exists():
                undo.append((_move(place, staging / "old" / new.name), place))
            undo.append((_move(new, place), new))
    except OSError:
        for now, before in reversed(undo):
            _move(now, before)
        raise


def _move(source: Path, target: Path) -> Path:
    return source.rename(target)
