"""JSON files of a checkpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing, unreadable, or holds something else.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(file, "no such file") from None
    except (OSError, ValueError) as exc:
        raise CheckpointError(file, f"not readable as JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise CheckpointError(file, f"expected a JSON object, found {type(document).__name__}")
    return document
