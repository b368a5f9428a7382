"""What can be wrong with files of texts."""

from __future__ import annotations

from bertriton._errors import UsageError


class FileFormatError(UsageError):
    """A file cannot be read, or does not hold what its name says."""


class JobError(UsageError):
    """The output is there already, or belongs to another run."""
