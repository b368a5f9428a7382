"""What strangers made: one module, or one room, a format; bytes are parsed here and never run.

In: a path, or the id of a model on the hub. Out: a `Checkpoint`, or a `CheckpointError` that names the
file.
"""

from bertriton_export.reading.formats import READERS, default_name, read_checkpoint
from bertriton_export.reading.weight_formats import WEIGHT_FORMATS

__all__ = ["READERS", "WEIGHT_FORMATS", "default_name", "read_checkpoint"]
