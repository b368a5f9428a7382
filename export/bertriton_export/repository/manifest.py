"""The manifest beside a model: for programs, what was exported from what, and the hash of every file."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from bertriton import __version__
from bertriton_export.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.repository.report import ExportReport

MANIFEST_FILE: Final = "manifest.json"

_RECORDED_PACKAGES: Final = ("onnx", "onnxruntime", "tokenizers", "numpy")


def write_manifest(
    file: Path, folder: Path, report: ExportReport, checkpoint: Checkpoint, facts: Mapping[str, Any]
) -> None:
    """Write the manifest of the models below a folder.

    Args:
        file: the manifest.
        folder: of all models of the classifier; every file below it is hashed.
        report: what was exported, and how well it agrees with the reference.
        checkpoint: what it was made from.
        facts: what only the target knows; JSON values.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): sha256_of([path]) for path in files}
    document = {**_facts(report, checkpoint), **facts, "sha256": hashes}
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _facts(report: ExportReport, checkpoint: Checkpoint) -> dict[str, Any]:
    versions = {package: metadata.version(package) for package in _RECORDED_PACKAGES}
    return {
        "classifier": asdict(report.classifier),
        "source": dict(checkpoint.source),
        "unused_tensors": list(checkpoint.weights.unused),
        "bert": asdict(checkpoint.config),
        "precision": report.precision,
        "verification": asdict(report.verification),
        "int8": asdict(report.int8) if report.int8 else None,
        "versions": {"bertriton": __version__, "python": platform.python_version(), **versions},
    }
