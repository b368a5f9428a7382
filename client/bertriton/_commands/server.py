"""`bertriton models` and `bertriton health`: what a server holds and whether it answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bertriton._commands.options import connected, connection_options, option

if TYPE_CHECKING:
    from bertriton import ServedClassifier


@click.command(name="models")
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@connection_options
def models_command(*, as_json: bool, **connection: Any) -> None:  # noqa: ANN401  # click's own
    """List the classifiers of a server with labels, limits and versions."""
    served = _served(connection)
    if as_json:
        for classifier in served:
            click.echo(json.dumps(asdict(classifier), ensure_ascii=False))
        return
    table = Table("model", "versions", "labels", "problem", "max tokens", "max rows", "checkpoint", box=None)
    for classifier in served:
        table.add_row(*_cells(classifier))
    Console().print(table)


@click.command(name="health")
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@connection_options
def health_command(*, as_json: bool, **connection: Any) -> None:  # noqa: ANN401
    """Say whether a server's classifiers answer; exit with 1 if one does not."""
    served = _served(connection)
    if not served:
        raise click.ClickException(f"no classifier at {connection['url']}")
    for classifier in served:
        state = {"model": classifier.name, "ready": classifier.ready, "reason": classifier.reason}
        words = "ready" if classifier.ready else f"not ready: {classifier.reason or 'loading'}"
        click.echo(json.dumps(state) if as_json else f"{classifier.name}  {words}")
    if not all(classifier.ready for classifier in served):
        click.get_current_context().exit(1)


def _served(connection: dict[str, Any]) -> list[ServedClassifier]:
    with connected(**connection) as client:
        served = client.models()
    wanted = connection["model"]
    if wanted is None:
        return served
    found = [classifier for classifier in served if classifier.name == wanted]
    if not found:
        raise click.ClickException(f"no classifier {wanted!r} at {connection['url']}")
    return found


def _cells(classifier: ServedClassifier) -> tuple[str, ...]:
    info = classifier.info
    if info is None:
        return (classifier.name, "not ready", classifier.reason)
    return (
        classifier.name,
        ", ".join(classifier.versions),
        ", ".join(info.labels),
        info.problem_type,
        str(info.max_length),
        str(info.max_batch_size),
        info.checkpoint_sha256[:12],
    )
