"""The model repository: configs, the tokenizer that Triton runs, manifest and model card.

In: a `Checkpoint`, a `NetworkConfig` and a report. Out: the folders of three models, moved into place
together or not at all.
"""

from bertriton_export.repository.card import CARD_FILE
from bertriton_export.repository.fingerprint import fingerprint_for
from bertriton_export.repository.models import checked_name, write_models, write_records
from bertriton_export.repository.ownership import require_own
from bertriton_export.repository.report import ExportReport
from bertriton_export.repository.staging import staged_repository

__all__ = [
    "CARD_FILE",
    "ExportReport",
    "checked_name",
    "fingerprint_for",
    "require_own",
    "staged_repository",
    "write_models",
    "write_records",
]
