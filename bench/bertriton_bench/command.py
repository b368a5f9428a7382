"""`bertriton bench`: measure a running server."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bertriton._commands import access_options, access_settings, errors_in_one_line, option, print_table
from bertriton._files import require_no_loss
from bertriton_bench.access import Access
from bertriton_bench.errors import BenchError
from bertriton_bench.report import (
    RATE_HEADER,
    STEP_HEADER,
    plot_files,
    rate_row,
    require_folder_of,
    require_plots,
    step_row,
    write_json,
    write_markdown,
)
from bertriton_bench.sweep import DEFAULT_CONCURRENCIES, DEFAULT_SECONDS, DEFAULT_URL, Plan, run_plan
from bertriton_bench.texts import SET_NAMES, default_texts, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bertriton_bench.measurement import Measurement
    from bertriton_bench.report import Report

_FILE = click.Path(dir_okay=False, path_type=Path)
_option = partial(option, show_default=True)


@click.command("bench")
@_option("--url", default=DEFAULT_URL, help="Triton's gRPC endpoint, host:port.")
@_option("--model", help="Name of the classifier [default: the server's only one].")
@_option(
    "--texts",
    "texts_file",
    type=_FILE,
    help="Texts to send: .txt with one a line, .csv, .tsv, .jsonl or .parquet [default: film reviews].",
)
@_option("--text-column", default="text", help="Column of --texts that holds the text.")
@_option(
    "--concurrency",
    "concurrencies",
    type=click.IntRange(min=1),
    multiple=True,
    default=DEFAULT_CONCURRENCIES,
    help="Requests in flight; may be repeated.",
)
@_option(
    "--set",
    "sets",
    type=click.Choice(SET_NAMES),
    multiple=True,
    default=SET_NAMES,
    help="Lengths of the texts; may be repeated.",
)
@_option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_SECONDS,
    help="Approximate length of each measurement.",
)
@_option(
    "--json",
    "json_file",
    envvar="BERTRITON_BENCH_JSON",  # without BENCH it is the other commands' flag
    type=_FILE,
    help="Write the report as JSON.",
)
@_option(
    "--markdown",
    "markdown_file",
    type=_FILE,
    help="Write the report as Markdown, with plots (PNG) beside it.",
)
@access_options
def bench_command(  # one parameter per option
    *,
    url: str,
    model: str | None,
    texts_file: Path | None,
    text_column: str,
    concurrencies: tuple[int, ...],
    sets: tuple[str, ...],
    seconds: float,
    json_file: Path | None,
    markdown_file: Path | None,
    **access: Any,  # noqa: ANN401 (what the server asks for)
) -> None:
    """Measure a running server with NVIDIA's perf_analyzer.

    Each gRPC request holds one real text. There are four sets: short texts, mixed lengths, one length with
    the same mean, and texts as long as the model reads. If perf_analyzer is not installed, it is fetched on
    first use. It gets keys and tokens as arguments, which other users of this machine can see.
    """
    with errors_in_one_line():
        settings = access_settings(**access)
        way_in = Access(**settings | {"headers": tuple(settings["headers"].items())})
        plan = Plan(url, model, concurrencies, sets, seconds, way_in)
        plots = plot_files(markdown_file) if markdown_file else []
        require_no_loss([json_file, markdown_file, *plots], [texts_file])
    try:
        for file in filter(None, (json_file, markdown_file)):
            require_folder_of(file)
        if markdown_file:
            require_plots()
        texts = read_texts(texts_file, text_column) if texts_file else default_texts()
        with Console(stderr=True).status("starting") as status:
            report = run_plan(plan, texts, on_stage=status.update, on_measurement=_tell)
        if json_file:
            write_json(report, json_file)
        if markdown_file:
            write_markdown(report, markdown_file)
    except BenchError as exc:
        raise click.ClickException(" ".join(str(exc).split())) from exc
    _print(report)


def _tell(measurement: Measurement) -> None:
    # Where there is no terminal, no spinner says that anything happens.
    if not sys.stderr.isatty():
        row = dict(zip(RATE_HEADER, rate_row(measurement), strict=True))
        click.echo(", ".join(f"{name} {value}" for name, value in row.items()), err=True)


def _print(report: Report) -> None:
    console = Console()
    console.print(
        f"[bold]{report.model}[/] on {report.server}, measured from {report.machine}", soft_wrap=True
    )
    print_table(_table(RATE_HEADER, map(rate_row, report.measurements)))
    print_table(_table(STEP_HEADER, map(step_row, report.measurements)))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(header[0], box=None)
    for name in header[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
