"""Everything that `bertriton_spark` raises by itself.

SparkError
+-- SettingError        a parameter out of its range (also a ValueError)
+-- ColumnError         input columns that are missing or of another kind (also a TypeError)
+-- UnknownModelError   neither a server nor a model to serve is known
+-- LocalServerError    the server of this host did not start

What a classification itself fails with is a `bertriton.BertritonError`. Inside a task Spark turns either into
a PythonException that shows it.
"""

from __future__ import annotations


class SparkError(Exception):
    """The root of all errors of this package."""


class SettingError(SparkError, ValueError):
    """A parameter out of its range, or one that does not exist."""


class ColumnError(SparkError, TypeError):
    """Input columns that are missing, too many, or hold something else than is needed."""


class UnknownModelError(SparkError):
    """There is no server to ask, and no model to start one with."""


class LocalServerError(SparkError):
    """The server that this host's workers share did not start."""
