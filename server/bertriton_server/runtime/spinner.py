"""Saying on stderr what takes long: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.status import Status


_shown: list[Status] = []  # the spinner of a block around, of which a terminal can have one only


@contextmanager
def progress(message: str) -> Iterator[None]:
    """Show `message` while the block runs; inside another such block, from there on."""
    # rich comes with the extra `serve`; as a library this package does without.
    if sys.stderr.isatty() and find_spec("rich"):
        from rich.console import Console  # noqa: PLC0415 - see above
        from rich.markup import escape  # noqa: PLC0415

        if _shown:
            _shown[-1].update(escape(message))
            yield
            return
        with Console(stderr=True).status(escape(message)) as status:
            _shown.append(status)
            try:
                yield
            finally:
                _shown.pop()
    else:
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - the place for it
        yield
