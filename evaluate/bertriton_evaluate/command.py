"""`bertriton evaluate`: how accurate a served model is, or a checkpoint."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from rich.console import Console

from bertriton import RequestLimits
from bertriton._commands import (
    TextList,
    call_options,
    connected,
    connection_options,
    errors_in_one_line,
    option,
    patience,
    reading_options,
    require_standard_output,
)
from bertriton._files import SUFFIX_TO_READER, file_progress, require_no_loss
from bertriton_evaluate.errors import ReportError
from bertriton_evaluate.evaluation import Plan, evaluate, predict, require_single_label
from bertriton_evaluate.figures import compare, require_comparable, require_same_labels
from bertriton_evaluate.pages import find_card, print_report, to_html, update_card
from bertriton_evaluate.serving import served_checkpoint
from bertriton_evaluate.texts import (
    DEFAULT_LABEL_COLUMN,
    DEFAULT_TEXT_COLUMN,
    LabelledTexts,
    read_predictions,
)
from bertriton_export.targets import DEFAULT_TARGET, TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bertriton import Client
    from bertriton._files import Progress
    from bertriton_evaluate.evaluation import Evaluation
    from bertriton_evaluate.texts import Predictions

ResultT = TypeVar("ResultT")

# Nobody waits for a single answer here, and a slow machine must not fail for being slow: as many rows as the
# network takes at once, so that no request waits in the server's queue longer than it may, and patience.
DEFAULT_ROWS: Final = 16
DEFAULT_TIMEOUT_S: Final = 300.0

_FILE = click.Path(dir_okay=False, path_type=Path)
_PRECISIONS = TARGETS[DEFAULT_TARGET].precisions


@dataclass(frozen=True)
class _Outcomes:
    """What becomes of an evaluation."""

    as_json: bool
    html: Path | None
    card: Path | None  # or the repository that it lies in
    min_accuracy: float | None

    def require_places(self, model: str, output: Path | None, inputs: Sequence[Path | None]) -> None:
        """See before anything is sent that every report has a place of its own, as have the predictions."""
        if output is None and self.html is None and self.card is None and self.min_accuracy is None:
            require_standard_output("give --html, --update-card or --output")
        if self.html and not self.html.parent.is_dir():
            raise ReportError(f"cannot write {self.html}: there is no folder {self.html.parent}")
        card = find_card(self.card, model) if self.card else None
        require_no_loss([output, self.html, card], inputs)

    def tell(self, evaluation: Evaluation) -> None:
        """Print and write what was asked for, and fail where the model is not accurate enough."""
        if self.as_json:
            click.echo(json.dumps(evaluation.to_dict(), ensure_ascii=False))
        else:
            print_report(evaluation)
        if self.html:
            with patience("drawing the plots"):
                page = to_html(evaluation)
            _write(self.html, page)
        if self.card:
            update_card(find_card(self.card, evaluation.model), evaluation)
        if self.min_accuracy is not None:
            _require_accuracy(evaluation, self.min_accuracy)


def _require_accuracy(evaluation: Evaluation, least: float) -> None:
    """See that the model is accurate enough, whatever it might say of the texts that it did not classify."""
    accuracy, of_all, failed = evaluation.metrics.accuracy, evaluation.accuracy_of_all, evaluation.failed
    if of_all >= least:
        return
    told = f"accuracy {accuracy:.4f} is"
    if failed:
        told = (
            f"{failed:,} of {evaluation.metrics.texts + failed:,} texts could not be classified: accuracy "
            f"{accuracy:.4f} without them, and {of_all:.4f} with each counted as wrong, which is"
        )
    raise click.ClickException(f"{told} under --min-accuracy {least}")


@dataclass(frozen=True)
class _Compared:
    """What the model is compared with: other predictions in a file, or another server."""

    place: str
    model: str | None

    @property
    def name(self) -> str:
        """What a report calls it: folders are this machine's own."""
        return self.file.name if self.file else self.place

    @property
    def file(self) -> Path | None:
        """The file of predictions; None where it is a server."""
        file = Path(self.place)
        return file if file.suffix.lower() in SUFFIX_TO_READER else None

    @contextmanager
    def predictions(
        self, plan: Plan, labels: tuple[str, ...], connection: dict[str, Any]
    ) -> Iterator[Callable[[], Predictions]]:
        """See at once whether it can be compared; what is yielded gives the predictions when called."""
        if self.file:
            predictions = read_predictions(self.file)
            require_comparable(predictions, plan.texts, labels)
            yield lambda: predictions
            return
        with connected(**connection | {"url": self.place, "model": self.model}) as client:
            require_single_label(client.info)
            require_same_labels(f"{client.info.name} at {self.place}", client.labels, labels)
            other = replace(plan, output=None, server=self.place)
            yield lambda: _watched(predict, client, other)[0]


@click.command("evaluate", context_settings={"default_map": {"timeout": DEFAULT_TIMEOUT_S}})
@option(
    "--data",
    "file",
    type=_FILE,
    required=True,
    help="File of labelled texts: .csv, .tsv, .jsonl or .parquet.",
)
@option("--text-column", default=DEFAULT_TEXT_COLUMN, show_default=True, help="Column that holds the text.")
@option(
    "--label-column",
    default=DEFAULT_LABEL_COLUMN,
    show_default=True,
    help="Column that holds the true label.",
)
@option("--pair-column", help="Column that holds the second text of a pair.")
@option(
    "--label-map",
    type=TextList(),
    multiple=True,
    metavar="WORD=LABEL",
    help="Reads WORD in the label column as the model's LABEL; may be repeated. In the variable, commas "
    "stand between them.",
)
@option(
    "--output",
    envvar="BERTRITON_EVALUATE_OUTPUT",  # without EVALUATE it is that of `bertriton classify`
    type=_FILE,
    help="Keep the predictions: .csv, .tsv, .jsonl or .parquet [default: in the cache while it runs].",
)
@option("--overwrite", is_flag=True, help="Discard the output and the progress of an earlier run.")
@option(
    "--checkpoint",
    envvar="BERTRITON_EVALUATE_CHECKPOINT",  # without EVALUATE it is that of the images
    help="Checkpoint to export, serve and evaluate, in place of a running server.",
)
@option(
    "--precision",
    envvar="BERTRITON_EVALUATE_PRECISION",
    type=click.Choice(_PRECISIONS),
    help="Precision of --checkpoint [default: the exporter's].",
)
@option(
    "--compare",
    "compared",
    metavar="URL|FILE",
    help="Compare with another server, or with a file of predictions that --output kept.",
)
@option("--compare-model", help="Name of the classifier on the server of --compare [default: --model].")
@option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@option("--html", type=_FILE, help="Write the report as one HTML page with plots.")
@option(
    "--update-card",
    "card",
    type=click.Path(path_type=Path),
    help="Write the figures into this MODEL_CARD.md, or into the model's in this repository.",
)
@option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    help="Exit with 1 if the accuracy is below this, with texts that fail counted as wrong.",
)
@reading_options
@option(
    "--rows", type=click.IntRange(min=1), default=DEFAULT_ROWS, show_default=True, help="Texts per request."
)
@connection_options
@click.pass_context
def evaluate_command(  # one parameter per option
    context: click.Context,
    /,
    *,
    file: Path,
    text_column: str,
    label_column: str,
    pair_column: str | None,
    label_map: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    checkpoint: str | None,
    precision: str | None,
    compared: str | None,
    compare_model: str | None,
    rows: int,
    **others: Any,  # noqa: ANN401  # the reports, how texts are read, and the connection
) -> None:
    """Measure how accurate a model is on labelled texts.

    Every text is classified once. Printed are precision, recall and F1 of each label, as model cards have
    them, with confusion, calibration, accuracy by length, and speed. Call an interrupted run again, and it
    goes on where it stopped.
    """
    outcomes = _Outcomes(*(others.pop(name) for name in ("as_json", "html", "card", "min_accuracy")))
    texts = LabelledTexts(file, text_column, label_column, pair_column, _label_map(label_map))
    plan = Plan(texts, output, overwrite, options=call_options(others))
    other = _Compared(compared, compare_model or others["model"]) if compared else None
    connection = {"limits": RequestLimits(rows=rows), **others}
    if checkpoint:
        _require_no_address(context)
    elif precision:
        raise click.UsageError("--precision belongs to --checkpoint")
    with errors_in_one_line(), ExitStack() as stack:
        url = stack.enter_context(_served(checkpoint, precision)) if checkpoint else connection["url"]
        client = stack.enter_context(connected(**connection | {"url": url}))
        server = f"{checkpoint} in {precision or 'default precision'}" if checkpoint else url
        outcomes.require_places(client.info.name, output, [file, other.file if other else None])
        outcomes.tell(_evaluated(client, replace(plan, server=server), other, connection))


def _evaluated(
    client: Client, plan: Plan, compared: _Compared | None, connection: dict[str, Any]
) -> Evaluation:
    if compared is None:
        return _watched(evaluate, client, plan)[0]
    with compared.predictions(plan, client.labels, connection) as others:
        evaluation, predictions = _watched(evaluate, client, plan)
        expected = plan.texts.labels(client.labels)
        comparison = compare(predictions, others(), plan.texts, expected, name=compared.name)
    return replace(evaluation, comparison=comparison)


def _watched(
    act: Callable[[Client, Plan, Callable[[Progress], None]], ResultT], client: Client, plan: Plan
) -> ResultT:
    """Evaluate or predict behind a bar."""
    try:
        with file_progress() as report:
            return act(client, plan, report)
    except KeyboardInterrupt:
        click.echo("interrupted: the same command goes on where it stopped", err=True)
        raise


@contextmanager
def _served(checkpoint: str, precision: str | None) -> Iterator[str]:
    """The address of a checkpoint's own server."""
    with ExitStack() as stack:
        with Console(stderr=True).status("starting") as status:
            server = stack.enter_context(served_checkpoint(checkpoint, precision, status.update))
        yield server.grpc_url


def _require_no_address(context: click.Context) -> None:
    for name in ("url", "model"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give either --checkpoint or --{name}")


def _label_map(mappings: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for mapping in mappings:
        word, separator, label = mapping.partition("=")
        if not (separator and label):
            raise click.UsageError(f"--label-map: expected WORD=LABEL, found {mapping!r}")
        if found.setdefault(word, label) != label:
            raise click.UsageError(f"--label-map: {word!r} is to be read as {found[word]!r} and as {label!r}")
    return found


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ReportError(f"cannot write {file}: {exc.strerror}") from exc
