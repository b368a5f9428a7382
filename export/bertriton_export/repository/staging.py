"""Write a classifier's three models into a model repository: all of them, or nothing.

Everything is written into a staging folder and moved into place at the end by renames, so that a reader sees
the old models or the new ones, and a failure leaves the old. Where the system can, an old model and a new one
change places in one step: a server that polls between two would say that a model is missing. The staging
folder lies beside the repository: inside, a server with `--model-control-mode=poll` would take it for a model
and log an error at every look.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_export.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGING_PREFIX: Final = ".bertriton-staging-"

_WORKING_FOLDER: Final = -100  # AT_FDCWD, from which a relative path starts
_RENAME_EXCHANGE: Final = 2
_CANNOT_EXCHANGE: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


@contextmanager
def staged_repository(repository: Path, on_stage: Callable[[str], object] = str) -> Iterator[Path]:
    """A folder to write models into, which replace those of the same names when the block ends well.

    Args:
        repository: the model repository, made if need be.
        on_stage: told where the folder has to lie inside the repository, and why.

    Raises:
        RepositoryError: the repository cannot be written to.
    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        staging = _staging_folder(repository, on_stage)
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


def _staging_folder(repository: Path, on_stage: Callable[[str], object]) -> Path:
    """A new folder beside the repository or, where nothing can be moved in from there, inside it."""
    try:
        beside = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=repository.resolve().parent))
    except OSError as exc:
        reason = exc.strerror
    else:
        try:
            _require_movable(beside, repository)
        except OSError as exc:
            reason = exc.strerror
            beside.rmdir()
        else:
            return beside
    inside = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=repository))
    on_stage(
        f"staging inside {repository}, for from beside it nothing can be moved there ({reason}): "
        "a server that polls it will log errors about the staging folder until the export is done"
    )
    return inside


def _require_movable(staging: Path, repository: Path) -> None:
    """Move a file, which no server takes for a model: neither device numbers nor permissions tell it all."""
    with tempfile.NamedTemporaryFile(prefix=STAGING_PREFIX, dir=staging) as probe:
        moved = Path(probe.name).rename(repository / Path(probe.name).name)
        moved.rename(probe.name)  # where it is removed


def _swap(repository: Path, staging: Path) -> None:
    """Move new models in and old ones out; on failure put back what was moved."""
    undo: list[Callable[[], object]] = []
    try:
        for new in sorted((staging / "new").iterdir()):
            place = repository / new.name
            if place.exists() and exchange(new, place):
                undo.append(partial(exchange, new, place))
                continue
            if place.exists():
                old = place.rename(staging / "old" / new.name)
                undo.append(partial(old.rename, place))
            new.rename(place)
            undo.append(partial(place.rename, new))
    except BaseException:
        for step in reversed(undo):
            step()
        raise


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system or its file system cannot.

    Linux's renameat2(2) with RENAME_EXCHANGE, which Python has not.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_WORKING_FOLDER, os.fsencode(one), _WORKING_FOLDER, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
