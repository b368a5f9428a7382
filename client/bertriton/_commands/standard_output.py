"""Standard output: whether it is there, and tables on it that lose nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

_ENDLESS: Final = 1_000_000  # cells of a line that nobody cuts


def require_standard_output(instead: str = "") -> None:
    """Refuse to do what nobody would hear of, where standard output is closed.

    Args:
        instead: what else to do, as "give --output".
    """
    if sys.stdout is None:  # as Python says of one that is closed
        raise click.UsageError(f"standard output is closed: {instead or 'open it, or send it to a file'}")


def print_table(table: Table) -> None:
    """Print a table of which nothing is cut.

    A narrow terminal gets folded cells. In a pipe, and on a terminal too narrow for that, lines are whole.
    """
    console = Console()
    for column in table.columns:
        column.overflow = "fold"
    least = console.measure(table, options=console.options.update(width=_ENDLESS)).minimum
    if not console.is_terminal or console.width < least:
        console.width = _ENDLESS
        table.expand = False  # or it would fill such a line with spaces
    console.print(table, soft_wrap=console.width == _ENDLESS)
