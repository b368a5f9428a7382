"""`bertriton export`: the command line of the exporter."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console

from bertriton import contract
from bertriton._commands import option
from bertriton_export.checkpoint import HEADS
from bertriton_export.errors import ExportError
from bertriton_export.exporter import DEFAULT_REPOSITORY, export
from bertriton_export.targets import ALL_PRECISIONS, DEFAULT_TARGET, TARGETS
from bertriton_export.validation_file import DEFAULT_COLUMN, read_validation_texts

if TYPE_CHECKING:
    from bertriton_export.repository import ExportReport

_TARGETS: Final = "; ".join(
    f"{name}: {target.summary}, {' or '.join(target.precisions)}" for name, target in TARGETS.items()
)
_DEFAULT_PRECISIONS: Final = ", ".join(
    f"{target.precisions[0]} for {name}" for name, target in TARGETS.items()
)


@click.command(name="export")
@click.argument("checkpoint", type=click.Path())
@option(
    "--name",
    help="The classifier's name [default: the checkpoint's].",
)
@option(
    "--repository",
    envvar="BERTRITON_MODEL_REPOSITORY",  # as `bertriton serve --model-repository` has it
    default=DEFAULT_REPOSITORY,
    show_default=True,
    type=click.Path(file_okay=False),
    help="The model repository to write into.",
)
@option(
    "--base",
    metavar="CHECKPOINT",
    help="Base model of a LoRA adapter, a folder or a hub id [default: the one beside it, else the one that "
    "it names].",
)
@option(
    "--labels",
    help="Names of the labels, with commas between them, in the order of the logits "
    "[default: the checkpoint's].",
)
@option(
    "--problem-type",
    type=click.Choice(tuple(HEADS)),
    help="What the logits mean [default: the checkpoint's].",
)
@option(
    "--threshold",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    help=f"For {contract.MULTI_LABEL}: the probability from which a label counts "
    f"[default: {contract.DEFAULT_THRESHOLD}].",
)
@option(
    "--truncation",
    envvar="BERTRITON_EXPORT_TRUNCATION",  # without EXPORT it is what a client asks for
    type=click.Choice(contract.TRUNCATIONS),
    help="Which part of a long text is read, unless a request says otherwise "
    f"[default: the checkpoint's, else {contract.DEFAULT_TRUNCATION}].",
)
@option(
    "--stride",
    envvar="BERTRITON_EXPORT_STRIDE",
    type=click.IntRange(min=0),
    help="Tokens that a window shares with the one before, unless a request says otherwise.",
)
@option(
    "--aggregation",
    envvar="BERTRITON_EXPORT_AGGREGATION",
    type=click.Choice(contract.AGGREGATIONS),
    help="How the scores of windows are joined, unless a request says otherwise.",
)
@option(
    "--tokenization",
    type=click.Choice(contract.TOKENIZATIONS),
    help="How texts are cut into tokens. sparknlp gives the scores that Spark NLP gave, which drops parts of "
    f"words [default: {contract.DEFAULT_TOKENIZATION}].",
)
@option(
    "--target",
    type=click.Choice(tuple(TARGETS)),
    default=DEFAULT_TARGET,
    show_default=True,
    help=f"Kind of machine to serve on. {_TARGETS}.",
)
@option(
    "--precision",
    type=click.Choice(ALL_PRECISIONS),
    help=f"Precision of the encoder [default: {_DEFAULT_PRECISIONS}]. int8 must decide as fp32 does, or the "
    "export fails.",
)
@option(
    "--keep-fp32",
    multiple=True,
    metavar="LAYER",
    help="Layer to keep out of int8: encoder.layer.3, or encoder.layer.3.output.dense; may be repeated.",
)
@option(
    "--validation-text",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Texts to calibrate int8 by and to compare it with fp32 on: .txt with a text a line, .csv, .tsv, "
    ".jsonl or .parquet [default: built-in film reviews].",
)
@option(
    "--validation-column",
    default=DEFAULT_COLUMN,
    show_default=True,
    help="The column of texts in that file; no other is read.",
)
@option(
    "--gate/--no-gate",
    default=True,
    show_default=True,
    help="Whether int8 must decide as fp32 does; without, nobody knows what it does to the answers.",
)
@option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def export_command(
    checkpoint: str,
    labels: str | None,
    validation_text: Path | None,
    validation_column: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 (what click collects)
) -> None:
    """Turn CHECKPOINT, a BERT classifier, into a model repository for Triton.

    CHECKPOINT is a Hugging Face folder (safetensors, PyTorch, TensorFlow or ONNX weights), a TensorFlow
    SavedModel, a Spark NLP model (folder or zip), a LoRA adapter of PEFT, or a hub id, org/name[@revision].
    The graph is compared with a float64 reference on real texts, and int8 with fp32. Nothing is written
    unless they agree.
    """
    console = Console(stderr=True)
    started = time.monotonic()
    try:
        texts = read_validation_texts(validation_text, validation_column) if validation_text else None
        with console.status("starting") as status:
            report = export(
                checkpoint,
                labels=labels.split(",") if labels is not None else None,
                validation_texts=texts,
                on_stage=status.update,
                **options,
            )
    except ExportError as exc:
        raise click.ClickException(str(exc)) from exc
    if as_json:
        click.echo(json.dumps(_as_dict(report)))
    else:
        click.echo(_summary(report, time.monotonic() - started))


def _as_dict(report: ExportReport) -> dict[str, object]:
    return {**dataclasses.asdict(report), "repository": str(report.repository)}


def _summary(report: ExportReport, elapsed_s: float) -> str:
    info, check = report.classifier, report.verification
    exported = (
        f"{info.name}: {len(info.labels)} labels ({', '.join(info.labels)}), up to {info.max_length} tokens, "
        f"{report.precision}, written to {report.repository} in {elapsed_s:.1f} s"
    )
    verified = (
        f"verified on {check.texts} texts, {check.tokens} tokens: "
        f"{report.verified} within {check.max_difference:.1e} "
        f"of the float64 reference (allowed {check.tolerance:.0e})"
    )
    compared = ""
    if report.precision == "int8":
        compared = f"int8 against fp32: {report.int8 or 'not compared (--no-gate)'}"
    return "\n".join(filter(None, (exported, verified, compared)))
