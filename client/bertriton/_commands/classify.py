"""`bertriton classify`: texts from the command line, lines from standard input, or a file of any size."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bertriton import RequestLimits
from bertriton._clients import DEFAULT_HYPOTHESIS_TEMPLATE
from bertriton._commands.answers import answer_format
from bertriton._commands.options import (
    TextList,
    call_options,
    connected,
    connection_options,
    option,
    reading_options,
    zero_shot_options,
)
from bertriton._commands.standard_input import standard_input_lines
from bertriton._commands.standard_output import require_standard_output
from bertriton._commands.waiting import patience
from bertriton._files import LINE_COLUMN, FileJob, file_progress, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bertriton import CallOptions, Client
    from bertriton._files import Progress

_FILE = click.Path(dir_okay=False, path_type=Path)
_OF_FILES: Final = ("text_column", "pair_column", "prefix", "all_scores", "overwrite")


@click.command(name="classify")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@option("--input", "input_path", type=_FILE, help="File to classify: .csv, .tsv, .jsonl, .parquet or .txt.")
@option(
    "--output",
    "output_path",
    type=_FILE,
    help="File for the rows with their answers: .csv, .tsv, .jsonl or .parquet.",
)
@option(
    "--text-column", default=LINE_COLUMN, show_default=True, help="Column of --input that holds the text."
)
@option("--pair-column", help="Column that holds the second text of a pair.")
@option("--prefix", default="predicted_", show_default=True, help="Prefix of the columns that are added.")
@option("--all-scores", is_flag=True, help="Add a column for the probability of every label.")
@option("--overwrite", is_flag=True, help="Discard the output and the progress of an earlier run.")
@option(
    "--candidate-label",
    "candidate_labels",
    type=TextList(),
    multiple=True,
    metavar="TEXT",
    help="Zero-shot: a label to ask a model of natural language inference about; may be repeated. In the "
    "variable, commas stand between labels.",
)
@option(
    "--hypothesis-template",
    metavar="TEXT",
    help="Zero-shot: the sentence to ask about, with {} for the label "
    f"[default: {DEFAULT_HYPOTHESIS_TEMPLATE}].",
)
@option(
    "--multi-label",
    is_flag=True,
    help="Zero-shot: give each label a probability by itself, so that several can hold.",
)
@reading_options
@option("--rows", type=click.IntRange(min=1), help="Texts per request [default: the server's limit].")
@connection_options
def classify_command(  # one parameter per option
    texts: tuple[str, ...],
    *,
    as_json: bool,
    input_path: Path | None,
    output_path: Path | None,
    rows: int | None,
    **others: Any,  # noqa: ANN401  # files, how texts are read, and the connection
) -> None:
    """Classify each TEXT, each line of standard input, or a file.

    With --input and --output, every row of the file is written with its answer. Call an interrupted run
    again, and it goes on where it stopped.
    """
    columns = {name: others.pop(name) for name in _OF_FILES}
    if (input_path is None) != (output_path is None):
        raise click.UsageError("--input and --output belong together")
    if input_path is not None and texts:
        raise click.UsageError("give either TEXT or --input")
    if input_path is None:
        _require_no_file_options()
    options = zero_shot_options(others) | call_options(others)
    with connected(limits=RequestLimits(rows=rows), **others) as client:
        if input_path is not None and output_path is not None:
            _classify_file(FileJob(input_path, output_path, **columns), client, options)
        else:
            source = texts or standard_input_lines("TEXT or --input")
            _print_answers(source, client, options, as_json=as_json)


def _require_no_file_options() -> None:
    """See that nothing is asked for that only files have; a variable may stand there for other calls."""
    context = click.get_current_context()
    for name in _OF_FILES:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is of files: give --input and --output with it"
            )


def _classify_file(job: FileJob, client: Client, options: CallOptions) -> None:
    progress = None
    try:
        with file_progress() as report:

            def remember(now: Progress) -> None:
                nonlocal progress
                progress = now
                report(now)

            progress = run(job, client, options, remember)
    except ModuleNotFoundError as exc:
        raise click.ClickException(f"{exc.name} is not installed: pip install 'bertriton[files]'") from exc
    else:
        failed = progress.failed_rows
        told = f", {failed:,} of them not, see the error column" if failed else ""
        click.echo(f"{progress.done_rows:,} rows classified into {job.output}{told}", err=True)
    finally:
        # Also of a run that was interrupted.
        if progress is not None:
            for line in progress.failures.lines():
                click.echo(line, err=True)
    if progress.all_failed:
        raise click.ClickException(f"none of the {progress.done_rows:,} rows could be classified")


def _print_answers(source: Iterable[str], client: Client, options: CallOptions, *, as_json: bool) -> None:
    require_standard_output("give --input and --output")
    with patience("waiting for the first answer") as wait:
        shown = answer_format(as_json=as_json)
        # Not itertools.tee: the client reads its texts in another thread.
        unanswered: deque[str] = deque()
        answers = client.classify_iter(_remembered(source, unanswered), **options)
        for count, answer in enumerate(answers, 1):
            if sys.stdout.isatty():
                wait.end()  # the answers themselves are to be seen
            wait.say(f"{count:,} texts classified")
            click.echo(shown(unanswered.popleft(), answer))


def _remembered(texts: Iterable[str], memory: deque[str]) -> Iterator[str]:
    for text in texts:
        memory.append(text)
        yield text
