"""`bertriton models` and `bertriton health`: what a server holds and whether it answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Column, Table

from bertriton import BertritonError, RetryPolicy
from bertriton._commands.options import connected, connection_options, option
from bertriton._commands.standard_output import print_table, require_standard_output
from bertriton._commands.waiting import patience
from bertriton._config import PROBE_TEXT, READY_TIMEOUT_S
from bertriton.contract import FINGERPRINT_BYTES

if TYPE_CHECKING:
    from bertriton import Client, ServedClassifier

_CHECKPOINT_CHARACTERS: Final = 12  # of its checksum
_COLUMNS: Final = ("model", "versions", "labels", "problem", "max tokens", "max rows")
_SUMS: Final = ("fingerprint", "checkpoint")  # half of one tells nothing
_SUMS_BESIDE_COLUMNS: Final = 110  # on narrower terminals one stands below the other
_OF_CLASSIFICATION: Final = "_classification"  # said by most problem types, and wide


@click.command(name="models")
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@connection_options
def models_command(*, as_json: bool, **connection: Any) -> None:  # noqa: ANN401  # click's own
    """List the classifiers of a server, with their labels, limits and versions."""
    require_standard_output()
    with connected(**connection) as client, patience(f"asking {connection['url']}"):
        served = _served(client, connection)
    if as_json:
        for classifier in served:
            click.echo(json.dumps(asdict(classifier), ensure_ascii=False))
        return
    print_table(_table(served))


@click.command(name="health")
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@connection_options
def health_command(*, as_json: bool, **connection: Any) -> None:  # noqa: ANN401
    """Have each classifier of a server classify a short text; exit with 1 if one takes over 5 seconds."""
    connection["timeout"] = min(connection["timeout"], READY_TIMEOUT_S)
    once = RetryPolicy(max_attempts=1)
    with connected(**connection, retry=once) as client, patience(f"asking {connection['url']}"):
        served = _served(client, connection)
        if not served:
            raise click.ClickException(f"no classifier at {connection['url']}")
        problems = {classifier.name: _problem(client, classifier) for classifier in served}
    for name, problem in problems.items():
        state = {"model": name, "ready": not problem, "reason": problem}
        words = f"not ready: {problem}" if problem else "ready"
        click.echo(json.dumps(state) if as_json else f"{name}  {words}")
    if any(problems.values()):
        click.get_current_context().exit(1)


def _problem(client: Client, classifier: ServedClassifier) -> str:
    """Why a classifier does not answer; empty when it does."""
    if not classifier.ready:
        return classifier.reason or "loading"
    try:
        client.classify(PROBE_TEXT, model=classifier.name)
    except BertritonError as exc:
        return exc.message
    return ""


def _served(client: Client, connection: dict[str, Any]) -> list[ServedClassifier]:
    served = client.models()
    wanted = connection["model"]
    if wanted is None:
        return served
    found = [classifier for classifier in served if classifier.name == wanted]
    if not found:
        raise click.ClickException(f"no classifier {wanted!r} at {connection['url']}")
    return found


def _table(served: list[ServedClassifier]) -> Table:
    console = Console()
    beside = not console.is_terminal or console.width >= _SUMS_BESIDE_COLUMNS
    sums = _SUMS if beside else ("\n".join(_SUMS),)
    columns = [Column(name, no_wrap=True, min_width=2 * FINGERPRINT_BYTES) for name in sums]
    table = Table(*_COLUMNS, *columns, box=None)
    for classifier in served:
        cells = _cells(classifier)
        front, last = cells[: len(_COLUMNS)], cells[len(_COLUMNS) :]
        table.add_row(*front, *(last if beside else ("\n".join(last),)))
    return table


def _cells(classifier: ServedClassifier) -> tuple[str, ...]:
    info = classifier.info
    if info is None:
        return (classifier.name, "not ready", classifier.reason)
    return (
        classifier.name,
        ", ".join(classifier.versions),
        ", ".join(info.labels),
        info.problem_type.removesuffix(_OF_CLASSIFICATION).replace("_", " "),
        str(info.max_length),
        str(info.max_batch_size),
        info.fingerprint,
        info.checkpoint_sha256[:_CHECKPOINT_CHARACTERS],
    )
