"""Saying on stderr what takes long: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def progress(message: str) -> Iterator[None]:
    """Show `message` while the block runs."""
    # rich comes with the extra `serve`; as a library this package does without.
    if sys.stderr.isatty() and find_spec("rich"):
        from rich.console import Console  # noqa: PLC0415 - see above

        with Console(stderr=True).status(message):
            yield
    else:
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - the place for it
        yield
