"""What a served classifier is compared with: the Hugging Face pipeline, and ONNX Runtime in this process.

In: a checkpoint or a model repository, and texts. Out: the seconds that they take.
"""

from comparisons.contenders.in_process import MAX_LENGTH, InProcess
from comparisons.contenders.pipeline import HUGGING_FACE_BATCHES, HUGGING_FACE_DTYPES, HuggingFace

__all__ = ["HUGGING_FACE_BATCHES", "HUGGING_FACE_DTYPES", "MAX_LENGTH", "HuggingFace", "InProcess"]
