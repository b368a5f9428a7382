"""NLU's one-liner with the network on Triton: `bertriton.nlu`.

Example:
    >>> import bertriton.nlu as nlu
    >>> nlu.load("en.classify.bert_sequence.imdb").predict(["I really liked that movie!"])
      classified_sequence  classified_sequence_confidence                    document
    0                 pos                        0.953299  I really liked that movie!
"""

from bertriton_nlu.errors import (
    DataError,
    LocalServerError,
    NluError,
    SettingError,
    UnknownModelError,
    UnsupportedModelError,
)
from bertriton_nlu.pipeline import Pipeline, load

__all__ = [
    "DataError",
    "LocalServerError",
    "NluError",
    "Pipeline",
    "SettingError",
    "UnknownModelError",
    "UnsupportedModelError",
    "load",
]
