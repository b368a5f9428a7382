"""`bertriton demo`: export, serve on a real Triton, classify real reviews, stop."""

from __future__ import annotations

import csv
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bertriton import Client
from bertriton._commands import errors_in_one_line
from bertriton_export import ExportError, export
from bertriton_imdb import CHECKPOINT, REVIEWS
from bertriton_server import LocalServer, ServerConfig, ServerError
from bertriton_server.runtime import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL: Final = "imdb"
SHOWN: Final = 12
SHOWN_CHARACTERS: Final = 50

Review = tuple[str, str]  # text, label


@click.command("demo")
def demo_command() -> None:
    """Export a small film-review classifier, serve it on Triton, classify reviews, stop.

    The first use installs Triton into an environment of its own, as `bertriton serve` does.
    """
    console = Console(highlight=False, soft_wrap=True)
    with errors_in_one_line():
        try:
            _run(console, unseen_reviews())
        except ExportError as exc:
            raise click.ClickException(str(exc)) from exc
        except ServerError as exc:
            raise click.ClickException(exc.summary) from exc
    console.print("Triton has stopped. Your own model: bertriton export CHECKPOINT, then bertriton serve")


def unseen_reviews() -> list[Review]:
    """The reviews that the model was not trained on."""
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [(row["text"], row["label"]) for row in rows if row["seen_in_training"] == "no"]


def _run(console: Console, reviews: Sequence[Review]) -> None:
    with ExitStack() as stack:
        repository = stack.enter_context(tempfile.TemporaryDirectory(prefix="bertriton-demo-"))
        with console.status("exporting") as status:
            report = export(CHECKPOINT, name=MODEL, repository=repository, on_stage=status.update)
        difference = report.verification.max_difference
        console.print(f"exported [b]{MODEL}[/b]: logits within {difference:.1e} of the float64 reference")
        with progress("starting Triton"):
            server = stack.enter_context(LocalServer(ServerConfig(Path(repository), stop_grace_s=0)))
        client = stack.enter_context(Client(server.grpc_url))
        console.print(f"Triton is serving it at {server.grpc_url} (gRPC) and {server.http_url} (HTTP)")
        _show(console, client, reviews[:SHOWN])
        _measure(console, client, reviews)


def _show(console: Console, client: Client, reviews: Sequence[Review]) -> None:
    table = Table("text", "label", "score", "truth")
    for (text, truth), answer in zip(reviews, client.classify([text for text, _ in reviews]), strict=True):
        short = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        said = Text(answer.label, style="green" if answer.label == truth else "red")
        table.add_row(Text(short), said, f"{answer.score:.3f}", truth)
    console.print(table)


def _measure(console: Console, client: Client, reviews: Sequence[Review]) -> None:
    started = time.perf_counter()
    with console.status(f"classifying {len(reviews)} reviews"):
        answers = client.classify([text for text, _ in reviews])
    elapsed_s = time.perf_counter() - started
    right = sum(answer.label == truth for answer, (_, truth) in zip(answers, reviews, strict=True))
    console.print(
        f"{right} of {len(reviews)} right ({right / len(reviews):.1%}) on snippets from a source the model "
        f"never saw, in {elapsed_s:.2f} s"
    )
