"""What TensorFlow and Keras saved, read without TensorFlow.

In: a SavedModel, a checkpoint or `tf_model.h5`. Out: a `Checkpoint` of the first, of the others the tensors
by the names that Hugging Face gives them.
"""

from bertriton_export.reading.tensorflow.graph import graph_def_facts
from bertriton_export.reading.tensorflow.keras_h5 import h5_tensors
from bertriton_export.reading.tensorflow.saved_model import is_saved_model, read_saved_model
from bertriton_export.reading.tensorflow.variables import checkpoint_tensors, tree_tensors

__all__ = [
    "checkpoint_tensors",
    "graph_def_facts",
    "h5_tensors",
    "is_saved_model",
    "read_saved_model",
    "tree_tensors",
]
