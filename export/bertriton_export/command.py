"""`bertriton export`: the command line of the exporter."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bertriton_export.errors import ExportError
from bertriton_export.exporter import DEFAULT_REPOSITORY, export

if TYPE_CHECKING:
    from bertriton_export.exporter import ExportReport


@click.command(name="export")
@click.argument("checkpoint", type=click.Path())
@click.option(
    "--name", envvar="BERTRITON_NAME", show_envvar=True, help="The classifier's name [default: the folder's]."
)
@click.option(
    "--repository",
    envvar="BERTRITON_MODEL_REPOSITORY",
    show_envvar=True,
    default=DEFAULT_REPOSITORY,
    show_default=True,
    type=click.Path(file_okay=False),
    help="The model repository to write into.",
)
@click.option(
    "--labels",
    envvar="BERTRITON_LABELS",
    show_envvar=True,
    help="Names for the labels, separated by commas, in the order of the logits [default: the checkpoint's].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def export_command(
    checkpoint: str, name: str | None, repository: str, labels: str | None, as_json: bool
) -> None:
    """Turn CHECKPOINT, a BERT classifier, into the models Triton serves.

    CHECKPOINT is a Hugging Face folder: config.json, model.safetensors and the tokenizer's files. Nothing
    is written unless the graph agrees with a float64 reference on real text.
    """
    console = Console(stderr=True)
    started = time.monotonic()
    try:
        with console.status("starting") as status:
            report = export(
                checkpoint,
                name=name,
                repository=repository,
                labels=labels.split(",") if labels is not None else None,
                on_stage=status.update,
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
    return (
        f"{info.name}: {len(info.labels)} labels ({', '.join(info.labels)}), up to {info.max_length} tokens, "
        f"written to {report.repository} in {elapsed_s:.1f} s\n"
        f"verified on {check.texts} texts, {check.tokens} tokens: logits within {check.max_difference:.1e} "
        f"of the float64 reference (allowed {check.tolerance:.0e})"
    )
