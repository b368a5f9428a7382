"""Where a checkpoint lies when somebody gives the path above it, or beside it."""

from __future__ import annotations

import re
import tarfile
import zipfile
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import is_there, refuse_lfs_pointer
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.files import map_file
from bertriton_export.reading.weight_formats import WEIGHT_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

_SNAPSHOTS: Final = "snapshots"  # of a model's folder in the cache of huggingface_hub
_MAIN: Final = "refs/main"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_STEPS: Final = re.compile(r"checkpoint-([0-9]{1,9})")  # what Transformers' Trainer calls its folders
_CONFIG: Final = "config.json"


def cached_snapshot(path: Path) -> Path:
    """The snapshot that a model's folder in the hub's cache means, or the path as it is.

    Example:
        >>> cached_snapshot(Path("~/.cache/huggingface/hub/models--org--tiny").expanduser()).name
        '0123456789abcdef0123456789abcdef01234567'
    """
    snapshots = path / _SNAPSHOTS
    if not snapshots.is_dir():
        return path
    try:
        commit = (path / _MAIN).read_text(encoding="ascii").strip() if is_there(path / _MAIN) else ""
    except (OSError, ValueError):
        commit = ""
    if _COMMIT.fullmatch(commit) and (snapshots / commit).is_dir():
        return snapshots / commit
    found = [folder for folder in snapshots.iterdir() if folder.is_dir()]
    return found[0] if len(found) == 1 else path


def refuse_unknown(path: Path, formats: str) -> CheckpointError:
    """What is wrong with a path that no reader knows, and which one to give instead."""
    if path.is_file():
        return _about_file(path, formats)
    if steps := _folders(path, _STEPS):
        last = max(steps, key=lambda folder: int(folder.name.partition("-")[2]))
        return CheckpointError(
            path, f"is the output of a training, with {len(steps)} checkpoints in it: give one, as {last}"
        )
    below = [folder for folder in [*_folders(path), *_folders(path / _SNAPSHOTS)] if _has_config(folder)]
    if below:
        return CheckpointError(path, f"holds no {_CONFIG}, but folders that do: give one, as {below[0]}")
    if weights := sorted(file.name for file in path.iterdir() if file.suffix in WEIGHT_SUFFIXES):
        return CheckpointError(path, f"holds {weights[0]} but no {_CONFIG}: put that of the model beside it")
    return CheckpointError(path, f"not a checkpoint in a known format ({formats})")


def _about_file(path: Path, formats: str) -> CheckpointError:
    content = map_file(path)
    refuse_lfs_pointer(path, content)
    if path.suffix in WEIGHT_SUFFIXES or path.name == _CONFIG:
        return CheckpointError(path, f"is a file of a checkpoint: give its folder, {path.parent}")
    if tarfile.is_tarfile(path):
        return CheckpointError(path, "is a tar archive: unpack it (tar -xf), and give the folder")
    if zipfile.is_zipfile(path):
        return CheckpointError(path, "is a zip that holds no Spark NLP model: unpack it, and give the folder")
    return CheckpointError(path, f"not a checkpoint in a known format ({formats})")


def _folders(path: Path, name: re.Pattern[str] | None = None) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(
        folder for folder in path.iterdir() if folder.is_dir() and (not name or name.fullmatch(folder.name))
    )


def _has_config(path: Path) -> bool:
    return (path / _CONFIG).is_file()
