"""Plots as SVG that stands inside a page and takes its ink from it, on a light page and on a dark one."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bertriton_evaluate.figures import Bin, LengthBucket, Metrics

ACCENT: Final = "#2f81f7"  # stands out from white and from black alike
_INK: Final = "#010203"  # matplotlib knows no currentColor: this stands for it until the SVG is written
_FAINT: Final = 0.3
_BAR: Final = 0.55  # so that ink on it can be read on either page
_SIZE_INCHES: Final = (5.2, 4.2)
_MAX_NUMBERED_LABELS: Final = 12  # more cells than that squared have no room for a number
_MAX_NAMED_LABELS: Final = 40


def confusion_plot(metrics: Metrics) -> str:
    """What was said of the texts of every label: counts, shaded by their share of the row."""
    counts = np.array(metrics.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _drawing()
    cells = np.tile(to_rgba(ACCENT), (*counts.shape, 1))
    cells[..., 3] = shares * _BAR
    axes.pcolormesh(cells)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    _name_labels(axes, list(metrics.labels))
    if len(counts) <= _MAX_NUMBERED_LABELS:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center", color=_INK)
    return _svg(figure, axes, "what was said", "what it is")


def reliability_plot(bins: Sequence[Bin]) -> str:
    """Accuracy over confidence: a calibrated model's bars end on the dashed line."""
    figure, axes = _drawing()
    middles = [(each.lower + each.upper) / 2 for each in bins]
    heights = [each.accuracy or 0.0 for each in bins]
    axes.bar(middles, heights, width=1 / len(bins), color=ACCENT, alpha=_BAR, edgecolor=_INK, linewidth=0.5)
    axes.plot([0, 1], [0, 1], "--", color=_INK, linewidth=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _svg(figure, axes, "confidence", "accuracy")


def length_plot(lengths: Sequence[LengthBucket]) -> str:
    """Accuracy of the texts of each length, with their number on the bar."""
    filled = [each for each in lengths if each.accuracy is not None]
    figure, axes = _drawing()
    heights = [each.accuracy or 0.0 for each in filled]
    bars = axes.bar([each.name for each in filled], heights, color=ACCENT, alpha=_BAR)
    names = [f"{each.accuracy:.3f}\n{each.texts:,} texts" for each in filled]
    axes.bar_label(bars, names, label_type="center", color=_INK, fontsize=9)
    axes.set_ylim(0, 1)
    return _svg(figure, axes, "tokens", "accuracy")


def _name_labels(axes: Axes, labels: list[str]) -> None:
    names = labels if len(labels) <= _MAX_NAMED_LABELS else []
    ticks = [place + 0.5 for place in range(len(names))]
    rotation = "vertical" if len(labels) > _MAX_NUMBERED_LABELS else "horizontal"
    # A label with $ in it is no formula.
    axes.set_xticks(ticks, names, rotation=rotation, parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)


def _drawing() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _svg(figure: Figure, axes: Axes, x_label: str, y_label: str) -> str:
    """What was drawn as an `<svg>` element, ready to stand in a page."""
    axes.set_xlabel(x_label, color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.tick_params(which="both", colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bertriton"}), warnings.catch_warnings():
        # Text stays text: the reader's fonts draw it, whatever is missing from matplotlib's own.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    element = text[text.index("<svg") :]  # without what belongs to a file of its own
    return re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL).replace(_INK, "currentColor")
