"""The benchmark section of a model card, added or replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bertriton_evaluate.errors import ReportError
from bertriton_evaluate.figures import CALIBRATION_BINS
from bertriton_evaluate.pages.terminal import comparison_lines
from bertriton_export.repository import CARD_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bertriton_evaluate.evaluation import Evaluation

# What stands between them is this module's; all else in a card is left as it is.
BEGIN: Final = "<!-- bertriton evaluate -->"
END: Final = "<!-- /bertriton evaluate -->"


def find_card(place: Path, model: str) -> Path:
    """The card itself, or that of a model in a repository.

    Raises:
        ReportError: there is none.
    """
    card = place / model / CARD_FILE if place.is_dir() else place
    if not card.is_file():
        raise ReportError(f"no model card {card}: `bertriton export` writes one")
    return card


def update_card(card: Path, evaluation: Evaluation) -> None:
    """Put an evaluation's figures into a card, in the place of those of an earlier one.

    Raises:
        ReportError: the card is another checkpoint's, or cannot be read or written.
    """
    try:
        text = card.read_text(encoding="utf-8")
        if evaluation.checkpoint_sha256 not in text:
            raise ReportError(
                f"{card} is not the card of {evaluation.model}: it does not name the checkpoint's sha256, "
                f"{evaluation.checkpoint_sha256}"
            )
        card.write_text(_with_section(text, "\n".join(_section(evaluation))), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ReportError(f"cannot update {card}: {exc}") from exc


def _with_section(text: str, section: str) -> str:
    marked = f"{BEGIN}\n{section}\n{END}"
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if re.search(pattern, text, re.DOTALL):
        return re.sub(pattern, lambda _: marked, text, count=1, flags=re.DOTALL)
    return f"{text.rstrip()}\n\n{marked}\n"


def _section(evaluation: Evaluation) -> Iterator[str]:
    metrics = evaluation.metrics
    yield from ("## Benchmark", "")
    yield f"`{evaluation.file}`, {metrics.texts:,} texts, sha256 `{evaluation.file_sha256}`."
    if evaluation.options:
        yield f"Options: {', '.join(f'`{name}` {value}' for name, value in evaluation.options.items())}."
    if evaluation.failed:
        yield f"{evaluation.failed:,} texts could not be classified and are in no figure."
    yield from ("", "```", metrics.table, "```", "")
    bins = f"{CALIBRATION_BINS} bins of equal width"
    yield f"- expected calibration error: {metrics.calibration_error:.4f} ({bins})"
    yield f"- truncated: {metrics.truncated_share:.1%} of the texts"
    for bucket in metrics.lengths:
        if bucket.accuracy is not None:
            yield f"- accuracy at {bucket.name} tokens: {bucket.accuracy:.4f} of {bucket.texts:,} texts"
    if evaluation.comparison:
        first, *others = comparison_lines(evaluation.comparison)
        yield from ("", first, "")
        yield from (f"- {line}" for line in others)
