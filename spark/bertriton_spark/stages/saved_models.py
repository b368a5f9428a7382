"""Models on disk that are no stages of this package: checkpoints, and stages that Spark NLP has saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_METADATA: Final = "metadata"
_SPARK_NLP: Final = "com.johnsnowlabs."


def is_checkpoint(path: str) -> bool:
    """Whether a path of this machine holds weights: anything but a stage that Spark ML wrote for Python."""
    return Path(path).exists() and not _written_class(path).startswith("bertriton")


def spark_nlp_params(path: str, names: set[str]) -> dict[str, Any]:
    """What Spark NLP saved of the parameters that are asked for; nothing where it saved none."""
    if not _written_class(path).startswith(_SPARK_NLP):
        return {}
    metadata = _metadata_of(path)
    saved = metadata.get("defaultParamMap", {}) | metadata.get("paramMap", {})
    return {name: value for name, value in saved.items() if name in names}


def _written_class(path: str) -> str:
    return str(_metadata_of(path).get("class", ""))


def _metadata_of(path: str) -> dict[str, Any]:
    """What a stage says of itself, as `DefaultParamsWriter` of Spark ML writes it."""
    for part in sorted((Path(path) / _METADATA).glob("part-*")):
        if text := part.read_text(encoding="utf-8").strip():
            found: dict[str, Any] = json.loads(text)
            return found
    return {}
