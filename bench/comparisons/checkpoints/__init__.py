"""What is measured: the embedded classifier, and random weights of any shape in every format.

In: a folder to write into. Out: checkpoints, and classifiers exported from them.
"""

from comparisons.checkpoints.classifiers import (
    MINILM,
    NAME,
    PRECISIONS,
    Classifier,
    bert_base,
    minilm,
    relative,
)
from comparisons.checkpoints.formats import FORMATS, write_formats
from comparisons.checkpoints.random_weights import BERT_BASE, EMBEDDED, Shape, make_checkpoint

__all__ = [
    "BERT_BASE",
    "EMBEDDED",
    "FORMATS",
    "MINILM",
    "NAME",
    "PRECISIONS",
    "Classifier",
    "Shape",
    "bert_base",
    "make_checkpoint",
    "minilm",
    "relative",
    "write_formats",
]
