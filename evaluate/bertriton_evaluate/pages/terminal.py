"""An evaluation as a person reads it in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bertriton._commands import print_table
from bertriton_evaluate.figures import CALIBRATION_BINS, CONFIDENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_evaluate.evaluation import Evaluation
    from bertriton_evaluate.figures import Comparison, Metrics, WeakSpots

MAX_CONFUSION_LABELS: Final = 12  # more columns fit no terminal


def print_report(evaluation: Evaluation) -> None:
    """Print every figure of an evaluation."""
    metrics, comparison = evaluation.metrics, evaluation.comparison
    console = Console()

    def say(*lines: str, style: str = "") -> None:
        for line in lines:
            console.print(Text(line, style=style), soft_wrap=True)

    say(headline(evaluation), style="bold")
    say("", metrics.table, "")
    if len(metrics.labels) <= MAX_CONFUSION_LABELS:
        say("texts by what they are (rows) and what was said (columns):")
        print_table(_confusion(metrics))
    else:
        say(f"for the confusion of {len(metrics.labels)} labels see --json or --html")
    say("", "accuracy by length:")
    print_table(_lengths(metrics))
    say("", *summary(evaluation), _to_read(evaluation.weak_spots))
    if comparison:
        say("", *comparison_lines(comparison), "", "the most different texts:")
        _print_most_different(comparison, console)


def headline(evaluation: Evaluation) -> str:
    """Which model on which file."""
    options = ", ".join(f"{name} {value}" for name, value in evaluation.options.items())
    told = f", {options}" if options else ""
    return (
        f"{evaluation.model} (checkpoint {evaluation.checkpoint_sha256[:12]}) on {evaluation.file}: "
        f"{evaluation.metrics.texts:,} texts{told}"
    )


def summary(evaluation: Evaluation) -> Iterator[str]:
    """Sentences of what is in no table."""
    metrics, speed = evaluation.metrics, evaluation.speed
    yield f"accuracy {metrics.accuracy:.4f}; {metrics.truncated_share:.1%} of the texts were truncated"
    yield f"expected calibration error {metrics.calibration_error:.4f} ({CALIBRATION_BINS} bins)"
    if speed:
        yield (
            f"{speed.texts_per_s:,.1f} texts/s, {speed.tokens_per_s:,.0f} tokens/s: "
            f"{speed.texts:,} texts in {speed.seconds:,.1f} s"
        )
    if evaluation.failed:
        yield (
            f"{evaluation.failed:,} texts could not be classified and are in no figure; "
            f"{evaluation.first_failure}"
        )


def _to_read(spots: WeakSpots) -> str:
    return (
        f"{spots.mistakes:,} mistakes, {spots.confident_mistakes:,} with a confidence of {CONFIDENT} or "
        f"more, and {spots.doubtful:,} doubtful texts: --html shows them"
    )


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Sentences of how two models agree."""
    yield f"against {comparison.other}, on the {comparison.texts:,} texts that both have answered:"
    yield f"accuracy {comparison.accuracy:.4f} against {comparison.other_accuracy:.4f}"
    yield f"same label for {comparison.agreement:.2%} of the texts"
    yield (
        f"probabilities differ by {comparison.mean_difference:.4f} on average, "
        f"by {comparison.max_difference:.4f} at most"
    )
    yield (
        f"right alone: {comparison.right_alone:,} against {comparison.other_right_alone:,}; "
        f"exact McNemar test: p = {comparison.p_value:.4g}"
    )


def _confusion(metrics: Metrics) -> Table:
    table = _table("", *metrics.labels)
    for label, counts in zip(metrics.labels, metrics.confusion, strict=True):
        table.add_row(Text(label), *(f"{count:,}" for count in counts))
    return table


def _lengths(metrics: Metrics) -> Table:
    table = _table("tokens", "texts", "accuracy")
    for bucket in metrics.lengths:
        if bucket.accuracy is not None:
            table.add_row(bucket.name, f"{bucket.texts:,}", f"{bucket.accuracy:.4f}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None)
    for name in others:
        table.add_column(Text(name), justify="right")
    return table


def _print_most_different(comparison: Comparison, console: Console) -> None:
    table = _most_different(comparison)
    if console.is_terminal:
        console.print(table)  # whose texts end with an ellipsis
    else:
        print_table(table)


def _most_different(comparison: Comparison) -> Table:
    table = Table("row", "differ by", "label", "said", "other", box=None, expand=True)
    table.add_column("text", no_wrap=True, ratio=1)  # has the room that is left, and ends with an ellipsis
    for each in comparison.most_different:
        words = " ".join(each.text.split())
        cells = (f"{each.row:,}", f"{each.difference:.4f}", each.label, each.said, each.other_said, words)
        table.add_row(*map(Text, cells))
    return table
