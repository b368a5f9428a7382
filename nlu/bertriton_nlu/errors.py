"""What can be wrong with a prediction, beside what the client itself raises.

BertritonError              of the client: the server does not answer, a text is too long
└── NluError                root of this package's own
    ├── DataError           the data is of another kind, or has no such texts (also a TypeError)
    ├── SettingError        an option or a variable out of its range (also a ValueError)
    ├── UnknownModelError   neither a server nor a model to serve is known
    ├── UnsupportedModelError   the model gives numbers where labels are asked for
    └── LocalServerError    the server of this process did not start, or is out of reach
"""

from __future__ import annotations

from bertriton import BertritonError


class NluError(BertritonError):
    """Root of every error of this package's own."""


class DataError(NluError, TypeError):
    """The data is of a kind that holds no texts, or a row of it is no text."""


class SettingError(NluError, ValueError):
    """An option or a variable out of its range."""


class UnknownModelError(NluError):
    """There is neither a server to ask nor a model to serve."""


class UnsupportedModelError(NluError):
    """The model gives numbers, where this package names labels."""


class LocalServerError(NluError):
    """The server of this process did not start, or cannot be reached from where it is needed."""
