"""From checkpoint to answers in one go: export, serve on a real Triton, classify real reviews, stop."""

from __future__ import annotations

import csv
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bertriton import Client
from bertriton_export import export
from bertriton_server import LocalServer

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "checkpoints" / "imdb-minilm"
REVIEWS = ROOT / "tests" / "data" / "reviews.csv"
SHOWN = 12
SHOWN_CHARACTERS = 50

console = Console()


def main() -> None:
    """Run the demo."""
    reviews = unseen_reviews()
    with tempfile.TemporaryDirectory() as repository:
        with console.status("exporting") as status:
            report = export(CHECKPOINT, name="imdb", repository=repository, on_stage=status.update)
        difference = report.verification.max_difference
        console.print(f"exported [b]imdb[/b]: logits within {difference:.1e} of the float64 reference")
        with ExitStack() as stack:
            with console.status("loading it into Triton"):
                server = stack.enter_context(LocalServer(repository))
            client = stack.enter_context(Client(server.grpc_url))
            console.print(f"Triton is serving it at {server.grpc_url} (gRPC) and {server.http_url} (HTTP)")
            show(client, reviews[:SHOWN])
            measure(client, reviews)
    console.print("Triton has stopped")


def unseen_reviews() -> list[tuple[str, str]]:
    """(text, label) of reviews that the model was not trained on."""
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [(row["text"], row["label"]) for row in rows if row["seen_in_training"] == "no"]


def show(client: Client, reviews: list[tuple[str, str]]) -> None:
    """Print what the model says of some reviews."""
    table = Table("text", "label", "score", "truth")
    for (text, truth), answer in zip(reviews, client.classify([text for text, _ in reviews]), strict=True):
        style = "green" if answer.label == truth else "red"
        short = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
        table.add_row(short, f"[{style}]{answer.label}", f"{answer.score:.3f}", truth)
    console.print(table)


def measure(client: Client, reviews: list[tuple[str, str]]) -> None:
    """Print accuracy and time over all reviews."""
    started = time.perf_counter()
    with console.status(f"classifying {len(reviews)} reviews"):
        answers = client.classify([text for text, _ in reviews])
    elapsed_s = time.perf_counter() - started
    right = sum(answer.label == truth for answer, (_, truth) in zip(answers, reviews, strict=True))
    console.print(
        f"{right} of {len(reviews)} right ({right / len(reviews):.1%}) on snippets from a source the model "
        f"never saw, in {elapsed_s:.2f} s"
    )


if __name__ == "__main__":
    main()
