"""An evaluation as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from bertriton_evaluate.pages.next_steps import next_steps
from bertriton_evaluate.pages.plots import confusion_plot, length_plot, reliability_plot
from bertriton_evaluate.pages.reading_list import SECTION_TO_TITLE, reading_list
from bertriton_evaluate.pages.terminal import comparison_lines, headline, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bertriton_evaluate.evaluation import Evaluation
    from bertriton_evaluate.figures import Comparison

# Nothing may be loaded, whatever a text of the file says.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
# Canvas and CanvasText are the reader's own colours, light or dark, and the plots take theirs from the text.
_STYLE: Final = """\
:root { color-scheme: light dark; }
body { background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
h1, p, li { overflow-wrap: anywhere; } h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
tbody tr { border-top: 1px solid color-mix(in srgb, CanvasText 20%, transparent); }
td:last-child { overflow-wrap: anywhere; } .scroll { overflow-x: auto; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; }
.next { border-left: .25rem solid #2f81f7; padding: .25rem 1rem; margin: 1.5rem 0; }
.next h2 { margin: 0; } .next li { margin: .4rem 0; }
.soft { color: color-mix(in srgb, CanvasText 70%, Canvas); font-size: .9rem; }
.examples { list-style: none; padding: 0; max-width: 56rem; }
.examples li { border-top: 1px solid color-mix(in srgb, CanvasText 20%, transparent); padding: .6rem 0; }
.facts { margin: 0 0 .25rem; font-size: .9rem; }
.wrong { text-decoration: underline wavy #d9480f; text-underline-offset: .2em; }
.sure { background: color-mix(in srgb, #d9480f 20%, transparent); }
.text { margin: .25rem 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.group { margin: .25rem 0; } .group .examples { margin: .5rem 0 1rem 1rem; }
summary { cursor: pointer; padding: .15rem 0; }
.long summary { list-style-position: outside; margin-left: 1.1rem; }
.more { display: inline-block; text-decoration: underline; font-size: .9rem; }
.long[open] > summary > .text { display: none; } .long > p { margin-left: 1.1rem; }
:focus-visible { outline: 2px solid #2f81f7; outline-offset: 2px; }
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
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _body(evaluation: Evaluation) -> Iterator[str]:
    metrics = evaluation.metrics
    yield from (f"<p>{escape(line)}</p>" for line in summary(evaluation))
    yield from _next_steps(evaluation)
    yield from _contents()
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
    yield from reading_list(evaluation.weak_spots)
    if evaluation.comparison:
        yield from _comparison(evaluation.comparison)
    yield f"<p>{escape(evaluation.file)}: sha256 {evaluation.file_sha256}</p>"


def _next_steps(evaluation: Evaluation) -> Iterator[str]:
    yield '<section class="next"><h2>What to do next</h2><ul>'
    steps = next_steps(evaluation.weak_spots, evaluation.metrics.texts)
    yield from (f"<li>{escape(step)}</li>" for step in steps)
    yield "</ul></section>"


def _contents() -> Iterator[str]:
    links = (f'<li><a href="#{name}">{title}</a></li>' for name, title in SECTION_TO_TITLE.items())
    yield f'<nav aria-label="Texts to read"><ul>{"".join(links)}</ul></nav>'


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
    yield f'<div class="scroll"><table class="{kind}"><thead>{_row(header, "th")}</thead><tbody>'
    yield from (_row(row, "td") for row in rows)
    yield "</tbody></table></div>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
