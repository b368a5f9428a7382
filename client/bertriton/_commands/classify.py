"""`bertriton classify`: texts from the command line, lines from standard input, or a file of any size."""

from __future__ import annotations

import json
import sys
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bertriton import RequestLimits
from bertriton._commands.options import call_options, connected, connection_options, option, reading_options
from bertriton._files import LINE_COLUMN, FileJob, file_progress, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bertriton import CallOptions, Classification, Client

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(name="classify")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@option("--input", "input_path", type=_FILE, help="Classify this file: .csv, .tsv, .jsonl, .parquet or .txt.")
@option(
    "--output",
    "output_path",
    type=_FILE,
    help="Write its rows with the answers: .csv, .tsv, .jsonl or .parquet.",
)
@option(
    "--text-column", default=LINE_COLUMN, show_default=True, help="Column of --input that holds the text."
)
@option("--pair-column", help="Column that holds the second text of a pair.")
@option("--prefix", default="predicted_", show_default=True, help="Begins the names of the columns added.")
@option("--all-scores", is_flag=True, help="Add a column for the probability of every label.")
@option("--overwrite", is_flag=True, help="Throw away the output and the progress of an earlier run.")
@reading_options
@option("--rows", type=click.IntRange(min=1), help="Texts per request [default: the server's limit].")
@connection_options
def classify_command(  # one parameter per option
    texts: tuple[str, ...],
    *,
    as_json: bool,
    input_path: Path | None,
    output_path: Path | None,
    overwrite: bool,
    rows: int | None,
    **others: Any,  # noqa: ANN401  # columns of files, how texts are read, and the connection
) -> None:
    """Classify each TEXT, each line of standard input, or a file.

    With --input and --output the file's rows are written with the answers beside them. A run that was
    interrupted goes on where it stopped when it is called again.
    """
    columns = {name: others.pop(name) for name in ("text_column", "pair_column", "prefix", "all_scores")}
    if (input_path is None) != (output_path is None):
        raise click.UsageError("--input and --output belong together")
    if input_path is not None and texts:
        raise click.UsageError("give either TEXT or --input")
    options = call_options(others)
    with connected(limits=RequestLimits(rows=rows), **others) as client:
        if input_path is not None and output_path is not None:
            _classify_file(FileJob(input_path, output_path, overwrite=overwrite, **columns), client, options)
        else:
            _print_answers(texts or _lines(sys.stdin.buffer), client, options, as_json=as_json)


def _classify_file(job: FileJob, client: Client, options: CallOptions) -> None:
    try:
        with file_progress() as report:
            progress = run(job, client, options, report)
    except ModuleNotFoundError as exc:
        raise click.ClickException(f"{exc.name} is not installed: pip install 'bertriton[files]'") from exc
    failed = f", {progress.failed_rows:,} of them not, see the error column" if progress.failed_rows else ""
    click.echo(f"{progress.done_rows:,} rows classified into {job.output}{failed}", err=True)


def _print_answers(source: Iterable[str], client: Client, options: CallOptions, *, as_json: bool) -> None:
    to_classify, to_print = tee(source)
    label_width = max(map(len, client.labels))
    answers = client.classify_iter(to_classify, **options)
    for text, answer in zip(to_print, answers, strict=True):
        click.echo(_as_json(text, answer) if as_json else _as_columns(text, answer, label_width))


def _lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Lines as text; bytes that are no UTF-8 become surrogates, which the client refuses by line."""
    for line in stream:
        yield line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _as_json(text: str, answer: Classification) -> str:
    return json.dumps({"text": text, **answer.to_dict()}, ensure_ascii=False)


def _as_columns(text: str, answer: Classification, label_width: int) -> str:
    label = click.style(f"{answer.label:<{label_width}}", bold=True)
    return f"{label}  {answer.score:.4f}  {' '.join(text.split())}"
