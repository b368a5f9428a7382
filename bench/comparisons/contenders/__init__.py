"""What a served classifier is compared with: ONNX Runtime in this process, others in their own.

In: a checkpoint or a model repository, and texts. Out: the seconds that they take.
"""

from comparisons.contenders.ceiling import Int8Ceiling
from comparisons.contenders.in_process import MAX_LENGTH, InProcess
from comparisons.contenders.peer import (
    CALIBRATION,
    CTRANSLATE2,
    HUGGING_FACE,
    INFINITY,
    OPENVINO,
    PEERS,
    Environments,
    Peer,
)

__all__ = [
    "CALIBRATION",
    "CTRANSLATE2",
    "HUGGING_FACE",
    "INFINITY",
    "MAX_LENGTH",
    "OPENVINO",
    "PEERS",
    "Environments",
    "InProcess",
    "Int8Ceiling",
    "Peer",
]
