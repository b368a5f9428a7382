"""From a BERT classifier's checkpoint to a model repository for NVIDIA Triton."""

from bertriton_export.errors import (
    CheckpointError,
    ExportError,
    Int8GateError,
    OptionError,
    RepositoryError,
    TensorError,
    UnsupportedModelError,
    VerificationError,
)
from bertriton_export.exporter import export
from bertriton_export.repository import ExportReport

__all__ = [
    "CheckpointError",
    "ExportError",
    "ExportReport",
    "Int8GateError",
    "OptionError",
    "RepositoryError",
    "TensorError",
    "UnsupportedModelError",
    "VerificationError",
    "export",
]
