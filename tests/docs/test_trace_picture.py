"""The picture of a trace shows one whole trace, each bar where its figures put it."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from blocks import ROOT

PICTURE = ROOT / "docs" / "pictures" / "trace.svg"
SPANS = [
    *((0, "bertriton.classify"), (1, "ModelInfer"), (2, "InferRequest"), (3, "imdb")),
    *((4, "imdb_tokenizer"), (5, "compute"), (4, "imdb_bert"), (5, "compute")),
]


@pytest.fixture(scope="module")
def recorder() -> Any:
    spec = spec_from_file_location("trace_picture", PICTURE.with_suffix(".py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["trace_picture"] = module  # a dataclass looks its own module up there
    spec.loader.exec_module(module)
    return module


def rows_in(picture: str, recorder: Any) -> list[Any]:
    """What is drawn, by the figures that the picture holds."""
    found = [
        dict(re.findall(r'data-(\w+)="([^"]*)"', group)) for group in re.findall("<g data[^>]*>", picture)
    ]
    numbers = [field.name for field in fields(recorder.Row)[1:]]
    return [recorder.Row(unescape(row["name"]), *(int(row[name]) for name in numbers)) for row in found]


def test_the_committed_picture_is_a_whole_trace_and_drawn_by_its_script(recorder: Any) -> None:
    picture = PICTURE.read_text(encoding="utf-8")

    rows = rows_in(picture, recorder)

    assert [(row.depth, row.name) for row in rows] == SPANS
    assert all(row.start <= row.at_work < row.end for row in rows)
    assert recorder.drawn(rows) == picture, "python docs/pictures/trace.py model_repository records it anew"


def test_a_bar_begins_and_ends_with_its_span_and_shows_the_wait(recorder: Any) -> None:
    span = recorder.Span
    ms = 1_000_000
    spans = [
        span("bertriton.classify", "t", "a", "", 5 * ms, 9 * ms),
        span("imdb_bert", "t", "b", "a", 6 * ms, 9 * ms),
        span("compute", "t", "c", "b", 8 * ms, 9 * ms),
    ]

    picture = recorder.drawn(recorder.rows_of(spans))

    quarter = (recorder.WIDTH - 2 * recorder.MARGIN) / 4
    bars = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="\d+" width="([\d.]+)"', picture)[
        3:
    ]  # less the legend
    at = [(look, (float(x) - recorder.MARGIN) / quarter, float(width) / quarter) for look, x, width in bars]
    expected = [("client", 0, 4), ("waiting", 1, 2), ("triton", 3, 1), ("triton", 3, 1)]
    assert [look for look, *_ in at] == [look for look, *_ in expected]
    for (_, *found), (_, *wanted) in zip(at, expected, strict=True):
        assert found == pytest.approx(wanted, abs=0.01)
    assert "imdb_bert (triton): 3.00 ms from 1.00 ms on, 2.00 ms of it waiting" in picture
