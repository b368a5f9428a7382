"""Records trace.svg from a real run: one call of a client, from the program to the network in Triton.

    python docs/pictures/trace.py model_repository

`BUSY_CALLERS` others keep the server busy, since a slow request mostly waits behind others. Of `CALLS` calls,
the one that took the median time is drawn. The picture holds its own figures, in attributes of each row, so
that a test can draw it anew.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from bertriton import Client

ROOT: Final = Path(__file__).parents[2]
sys.path.append(str(ROOT / "examples"))  # the same program as on the page

from whole_trace import Span, in_order, traced_server  # noqa: E402  # found by the line above

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE: Final = Path(__file__).with_suffix(".svg")
TEXT: Final = "What a lovely film."
CALLS: Final = 41
SPARE_CALLS: Final = 20  # Triton drops spans where a busy machine takes too long
BUSY_CALLERS: Final = 2
BUSY_TEXTS: Final = ["A film that takes its time, and has every right to. " * 20] * 4

NAMESPACE: Final = 'xmlns="http://www.w3.org/2000/svg"'
WIDTH: Final = 460
MARGIN: Final = 8
HEAD: Final = 62  # the legend and the axis
ROW: Final = 44
INDENT: Final = 12
BAR: Final = 12
MIN_BAR: Final = 2.0  # what is shorter is not seen
MAX_TICKS: Final = 5
TICKS_MS: Final = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
US_PER_MS: Final = 1000
NS_PER_US: Final = 1000
TWO_DECIMALS_BELOW_MS: Final = 10
NAMES_OF_CLIENT: Final = ("bertriton.classify", "ModelInfer")
WHAT: Final = {
    "bertriton.classify": "the call in your program",
    "ModelInfer": "its request, retries included",
    "InferRequest": "Triton takes and answers it",
    "imdb": "the ensemble: both models",
    "imdb_tokenizer": "text to tokens",
    "imdb_bert": "tokens to scores",
    "compute": "at work on it",
}
STYLE: Final = """<style>
svg.trace { --trace-ink: #17212b; --trace-line: #5b6b73; --trace-grid: #d5dcdf; --trace-client: #00796b; --trace-triton: #b4560a; font: 15px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg.trace { --trace-ink: #e6edf0; --trace-line: #93a4ad; --trace-grid: #3a464e; --trace-client: #4db6ac; --trace-triton: #f0a35e; } }
svg.trace text { fill: var(--trace-ink); }
svg.trace .name { font: 14px ui-monospace, monospace; }
svg.trace .small { font-size: 13px; fill: var(--trace-line); }
svg.trace .grid { stroke: var(--trace-grid); }
svg.trace .client { fill: var(--trace-client); }
svg.trace .triton { fill: var(--trace-triton); }
svg.trace .waiting { fill: var(--trace-triton); fill-opacity: .2; stroke: var(--trace-triton); stroke-dasharray: 3 2; }
</style>"""  # noqa: E501  # a rule a line, as in way.svg


@dataclass(frozen=True)
class Row:
    """A span as it is drawn; times in microseconds since the first span began."""

    name: str
    depth: int
    start: int
    at_work: int  # when its wait in a queue was over; what does not wait is at work from its start
    end: int

    @property
    def side(self) -> str:
        """Whose span it is, as the style names it."""
        return "client" if self.name in NAMES_OF_CLIENT else "triton"


def main(repository: Path) -> None:
    """Serve, call, draw."""
    PICTURE.write_text(drawn(rows_of(recorded(repository))), encoding="utf-8")


def recorded(repository: Path) -> list[Span]:
    """The spans of the call that took the median time."""
    with traced_server(repository) as (server, traces):
        with busy(server.grpc_url), Client(server.grpc_url, telemetry=True) as client:
            for _ in range(CALLS + SPARE_CALLS):
                client.classify(TEXT)
        calls = traces.of_calls(CALLS)
    took = [in_order(spans)[0][1] for spans in calls]
    durations = [call.end_ns - call.start_ns for call in took]
    return calls[durations.index(statistics.median_low(durations))]


@contextmanager
def busy(url: str) -> Iterator[None]:
    """Others that ask the same server for more."""
    stop = Event()

    def ask() -> None:
        with Client(url) as client:
            while not stop.is_set():
                client.classify(BUSY_TEXTS)

    threads = [Thread(target=ask) for _ in range(BUSY_CALLERS)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def rows_of(spans: list[Span]) -> list[Row]:
    """The rows of a trace. A model waits from the start of its span until that of `compute` below it."""
    first = min(span.start_ns for span in spans)
    starts = {span.parent_id: span.start_ns for span in spans if span.name == "compute"}
    return [
        Row(
            span.name.rpartition("/")[2],
            depth,
            (span.start_ns - first) // NS_PER_US,
            (starts.get(span.own_id, span.start_ns) - first) // NS_PER_US,
            (span.end_ns - first) // NS_PER_US,
        )
        for depth, span in in_order(spans)
    ]


def drawn(rows: list[Row]) -> str:
    """The picture."""
    height = HEAD + ROW * len(rows)
    size = f'viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg class="trace" {NAMESPACE} {size} role="img" aria-labelledby="trace-title trace-words">',
        '<title id="trace-title">One call, from the client to the network</title>',
        f'<desc id="trace-words">{escape(in_words(rows))}</desc>',
        STYLE,
        *legend(),
        *axis(rows),
    ]
    for place, row in enumerate(rows):
        y = HEAD + ROW * place
        marks = (f"M{x:.1f} {y + 18}v{BAR + 4}" for _, x in ticks(rows))
        lines += [f'<path class="grid" d="{"".join(marks)}"/>', *drawn_row(row, y, scale(rows))]
    return "\n".join([*lines, "</svg>"]) + "\n"


def in_words(rows: list[Row]) -> str:
    """What the picture shows, for who does not see it."""
    parts = []
    for row in rows:
        waits = f", {ms(row.at_work - row.start)} of it waiting" if row.at_work > row.start else ""
        parts.append(f"{row.name} ({row.side}): {ms(row.end - row.start)} from {ms(row.start)} on{waits}")
    return "Spans below one another, each with its time. " + "; ".join(parts) + "."


def legend() -> list[str]:
    """Who is who."""
    lines = []
    for x, side, word in (
        (0, "client", "client"),
        (80, "triton", "Triton"),
        (164, "waiting", "waits in a queue of Triton"),
    ):
        lines.append(f'<rect class="{side}" x="{MARGIN + x}" y="8" width="14" height="{BAR}" rx="2"/>')
        lines.append(f'<text x="{MARGIN + x + 20}" y="19">{word}</text>')
    return lines


def ticks(rows: list[Row]) -> list[tuple[float, float]]:
    """Milliseconds that are marked, each with its place."""
    last_ms = max(row.end for row in rows) / US_PER_MS
    step = next((step for step in TICKS_MS if last_ms / step <= MAX_TICKS), TICKS_MS[-1])
    marked = [number * step for number in range(int(last_ms / step) + 1)]
    return [(tick, MARGIN + tick * US_PER_MS * scale(rows)) for tick in marked]


def axis(rows: list[Row]) -> list[str]:
    """What the marks below stand for."""
    lines = []
    for tick, x in ticks(rows):
        words, anchor = (f"{tick:g}", "middle") if tick else ("0 ms", "start")
        lines.append(f'<text class="small" x="{x:.1f}" y="{HEAD - 10}" text-anchor="{anchor}">{words}</text>')
    return lines


def scale(rows: list[Row]) -> float:
    """Pixels a microsecond."""
    return (WIDTH - 2 * MARGIN) / max(row.end for row in rows)


def drawn_row(row: Row, y: int, pixels: float) -> list[str]:
    """Name, meaning and time of a span, and its bar below."""
    data = " ".join(f'data-{field.name}="{escape(str(getattr(row, field.name)))}"' for field in fields(Row))
    waited = row.at_work - row.start
    is_seen = waited * pixels >= MIN_BAR
    meaning = WHAT[row.name] + (f", waits {ms(waited)}" if is_seen else "")
    words = f'<tspan class="name">{escape(row.name)}</tspan><tspan class="small" dx="8">{meaning}</tspan>'
    return [
        f"<g {data}>",
        f'<text x="{MARGIN + INDENT * row.depth}" y="{y + 14}">{words}</text>',
        f'<text x="{WIDTH - MARGIN}" y="{y + 14}" text-anchor="end">{ms(row.end - row.start)}</text>',
        *([bar("waiting", row.start, row.at_work, y, pixels)] if is_seen else []),
        bar(row.side, row.at_work if is_seen else row.start, row.end, y, pixels),
        "</g>",
    ]


def bar(look: str, start: int, end: int, y: int, pixels: float) -> str:
    """The time of a span, or of a part of it."""
    x, width = MARGIN + start * pixels, max(MIN_BAR, (end - start) * pixels)
    return f'<rect class="{look}" x="{x:.1f}" y="{y + 20}" width="{width:.1f}" height="{BAR}" rx="2"/>'


def ms(microseconds: int) -> str:
    """A time in milliseconds."""
    value = microseconds / US_PER_MS
    return f"{value:.{2 if value < TWO_DECIMALS_BELOW_MS else 1}f} ms"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
