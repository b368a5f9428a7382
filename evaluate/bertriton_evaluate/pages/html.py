"""An evaluation as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from bertriton_evaluate.pages.plots import confusion_plot, length_plot, reliability_plot
from bertriton_evaluate.pages.terminal import comparison_lines, headline, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bertriton_evaluate.evaluation import Evaluation
    from bertriton_evaluate.figures import Comparison

# Canvas and CanvasText are the reader's own colours, light or dark, and the plots take theirs from the text.
_STYLE: Final = """\
:root { color-scheme: light dark; }
body { background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
tbody tr { border-top: 1px solid color-mix(in srgb, CanvasText 20%, transparent); }
td:last-child { overflow-wrap: anywhere; }
.plots { margin-top: 1.5rem; display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 20rem; max-width: 26rem; }
figure svg { width: 100%; height: auto; } figcaption { font-size: .9rem; }
"""


def to_html(evaluation: Evaluation) -> str:
    """The report as a page."""
    title = escape(headline(evaluation))
    body = "\n".join(_body(evaluation))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _body(evaluation: Evaluation) -> Iterator[str]:
    metrics = evaluation.metrics
    yield from (f"<p>{escape(line)}</p>" for line in summary(evaluation))
    rows = {
        **metrics.labels,
        "macro average": metrics.macro_average,
        "weighted average": metrics.weighted_average,
    }
    yield from _table(
        ("", "precision", "recall", "F1", "support"),
        (
            (name, f"{each.precision:.4f}", f"{each.recall:.4f}", f"{each.f1:.4f}", f"{each.support:,}")
            for name, each in rows.items()
        ),
    )
    plots = {
        "What was said of the texts of each label; shade: share of the row": confusion_plot(metrics),
        "Accuracy by confidence; a calibrated model's bars end on the line": reliability_plot(metrics.bins),
        "Accuracy by tokens of the text": length_plot(metrics.lengths),
    }
    yield '<div class="plots">'
    yield from (
        f"<figure>{svg}<figcaption>{escape(text)}</figcaption></figure>" for text, svg in plots.items()
    )
    yield "</div>"
    if evaluation.comparison:
        yield from _comparison(evaluation.comparison)
    yield f"<p>{escape(evaluation.file)}: sha256 {evaluation.file_sha256}</p>"


def _comparison(comparison: Comparison) -> Iterator[str]:
    first, *others = comparison_lines(comparison)
    yield f"<h2>{escape(first)}</h2>"
    yield from (f"<p>{escape(line)}</p>" for line in others)
    yield "<h2>The most different texts</h2>"
    yield from _table(
        ("row", "differ by", "label", "said", "other", "text"),
        (
            (f"{each.row:,}", f"{each.difference:.4f}", each.label, each.said, each.other_said, each.text)
            for each in comparison.most_different
        ),
        kind="words",
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> Iterator[str]:
    yield f'<table class="{kind}"><thead>{_row(header, "th")}</thead><tbody>'
    yield from (_row(row, "td") for row in rows)
    yield "</tbody></table>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
