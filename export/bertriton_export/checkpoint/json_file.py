"""JSON files of a checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from bertriton_export.checkpoint.small_file import read_small_file
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: as `read_small_file`, or the file holds something else, or a key twice in one
            object.
    """
    return parse_json(file, read_small_file(file))


def parse_json(file: Path, content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        file: to name in messages.
        content: its bytes, in UTF-8.

    Raises:
        CheckpointError: it is something else, nested too deep, or holds a key twice in one object.
    """
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise CheckpointError(file, "not readable as JSON: it is nested too deep") from None
    except ValueError as exc:
        raise CheckpointError(file, f"not readable as JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise CheckpointError(file, f"expected a JSON object, found {type(document).__name__}")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        (twice, _), *_ = (Counter(key for key, _ in pairs)).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return document
