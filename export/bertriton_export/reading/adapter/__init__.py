"""Adapters of PEFT: LoRA is merged into the weights of its base, and every other kind is refused by name.

In: a folder with `adapter_config.json`, and the tensors of the base. Out: the tensors of the classifier, as
PEFT's own `merge_and_unload` leaves them, each merged when it is asked for.
"""

from bertriton_export.reading.adapter.merging import (
    ADAPTER_WEIGHTS,
    Adapter,
    is_adapter,
    read_adapter,
    refuse_unconfigured,
    require_no_adapter,
)
from bertriton_export.reading.adapter.settings import ADAPTER_FILE, AdapterSettings

__all__ = [
    "ADAPTER_FILE",
    "ADAPTER_WEIGHTS",
    "Adapter",
    "AdapterSettings",
    "is_adapter",
    "read_adapter",
    "refuse_unconfigured",
    "require_no_adapter",
]
