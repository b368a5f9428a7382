"""Plots of measurements, legible on a light page and on a dark one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter, StrMethodFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from bertriton_bench.measurement import Measurement

# The page shows through, so every colour must stand out from white and from black alike.
INK: Final = "#7d8590"
COLOURS: Final = ("#2f81f7", "#d4791f", "#2da44e", "#c552b9")
_FAINT: Final = 0.35

_SIZE_INCHES: Final = (7.2, 3.6)
_DOTS_PER_INCH: Final = 160


def plot_throughput(measurements: Sequence[Measurement], file: Path) -> None:
    """Tokens per second over requests in flight, a line for each set of texts."""
    with _axes(file, "requests in flight", "tokens/s") as axes:
        _concurrency_axis(axes, measurements)
        for (name, points), colour in zip(_by_set(measurements).items(), COLOURS, strict=False):
            rates = [point.tokens_per_s for point in points]
            axes.plot([point.concurrency for point in points], rates, "o-", color=colour, label=name)
        axes.set_ylim(bottom=0)


def plot_latency(measurements: Sequence[Measurement], file: Path) -> None:
    """Milliseconds over requests in flight: for each set the median solid and p99 dotted."""
    with _axes(file, "requests in flight", "ms: p50 solid, p99 dotted") as axes:
        _concurrency_axis(axes, measurements)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        for (name, points), colour in zip(_by_set(measurements).items(), COLOURS, strict=False):
            concurrency = [point.concurrency for point in points]
            axes.plot(concurrency, [point.p50_ms for point in points], "o-", color=colour, label=name)
            axes.plot(concurrency, [point.p99_ms for point in points], "o:", color=colour)


def plot_memory(requests: Sequence[int], megabytes: Sequence[float], file: Path) -> None:
    """Resident memory of the network's process over requests answered."""
    with _axes(file, "requests answered", "resident MB", legend=False) as axes:
        axes.plot(requests, megabytes, "-", color=COLOURS[0])
        axes.set_ylim(bottom=0)


def _by_set(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    name_to_points: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        name_to_points.setdefault(measurement.texts, []).append(measurement)
    return name_to_points


def _concurrency_axis(axes: Axes, measurements: Sequence[Measurement]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({measurement.concurrency for measurement in measurements}))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


@contextmanager
def _axes(file: Path, x_label: str, y_label: str, *, legend: bool = True) -> Iterator[Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    yield axes
    axes.tick_params(which="both", colors=INK)
    axes.grid(visible=True, color=INK, alpha=_FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.set_facecolor("none")
    if legend:
        figure.legend(loc="outside upper center", ncols=len(COLOURS), frameon=False, labelcolor=INK)
    figure.savefig(file, dpi=_DOTS_PER_INCH, transparent=True)
