"""The bar that shows how far a file is classified."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bertriton._files.job import Progress


@contextmanager
def file_progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar on standard error while the block lasts; what is yielded moves it."""
    columns = (
        TextColumn("{task.description}"),
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None, rows=0, rate=0.0)

        def report(progress: Progress) -> None:
            elapsed_s = bar.tasks[0].elapsed or 0.0
            # Rows of an earlier run say nothing about this one's speed.
            rate = (progress.done_rows - progress.earlier_rows) / elapsed_s if elapsed_s else 0.0
            bar.update(
                task,
                description="checking" if progress.is_checking else "classifying",
                total=progress.size,
                completed=progress.position,
                rows=progress.done_rows,
                rate=rate,
            )

        yield report
