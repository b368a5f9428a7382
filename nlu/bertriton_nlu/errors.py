"""What can go wrong in a prediction, besides the errors of the client.

BertritonError              of the client: the server does not answer, a text is too long
└── NluError                base class of this package's errors
    ├── DataError           the data is of an unsupported type, or a row is not a text (also a TypeError)
    ├── SettingError        an option or variable has an invalid value (also a ValueError)
    ├── UnknownModelError   neither a server nor a model to serve is known
    ├── UnsupportedModelError   the model gives numbers, not labels
    └── LocalServerError    the server of this process did not start, or is out of reach
"""

from __future__ import annotations

from bertriton import BertritonError


class NluError(BertritonError):
    """The base class of this package's errors."""


class DataError(NluError, TypeError):
    """The data is of an unsupported type, or one of its rows is not a text."""


class SettingError(NluError, ValueError):
    """An option or an environment variable has an invalid value."""


class UnknownModelError(NluError):
    """Neither a server nor a model to serve is known."""


class UnsupportedModelError(NluError):
    """The model is a regression: it gives numbers, not labels."""


class LocalServerError(NluError):
    """The server of this process did not start, or Spark's workers cannot reach it."""
