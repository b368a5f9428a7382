"""What is claimed follows from what was measured: which way a limit goes, and what is compared with what."""

from __future__ import annotations

import pytest

from comparisons.checkpoints import BERT_BASE, Shape
from comparisons.figures import Figure
from comparisons.parts import FormatCosts, MemoryCurve, Rounds, contest_figures
from comparisons.parts.contest import (
    DTYPE_TO_HUGGING_FACE,
    FP32,
    IN_PROCESS,
    INT8,
    INT8_UNIFORM,
    SHORT_GRPC,
    SHORT_IN_PROCESS,
    SIDE_BY_SIDE,
)
from comparisons.parts.formats import FormatCost


@pytest.mark.parametrize(
    ("value", "required", "relation", "met"),
    [
        (2.5, 2.5, "at least 2.5 x", "yes"),
        (2.4, 2.5, "at least 2.5 x", "**no**"),
        (2.5, 2.5, "at most 2.5 x", "yes"),
        (2.6, 2.5, "at most 2.5 x", "**no**"),
        (1e9, None, "", ""),
    ],
)
def test_a_figure_is_judged_by_its_limit(
    value: float, required: float | None, relation: str, met: str
) -> None:
    figure = Figure("speed", value, "x", required, is_upper_limit="most" in relation, detail="made of")

    assert figure.row == ("speed", f"{value:,.2f} x", relation, met, "made of")
    assert figure.is_met == (met != "**no**")


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    """The ratio of the medians would be another: what the machine else does falls on both of one round."""
    found = Rounds("MiniLM", "torch", 277.0)
    for ours, theirs in ((100.0, 10.0), (300.0, 100.0), (200.0, 50.0)):
        found.add(INT8, ours)
        found.add(FP32, theirs)

    assert found.ratio(INT8, FP32) == 4.0
    assert found.median(INT8) == 200.0
    assert found.difference(INT8, FP32) == 150.0


def test_a_contest_comes_to_one_figure_a_contender() -> None:
    found = Rounds("MiniLM", "torch", 277.0)
    rates = {INT8: 30.0, IN_PROCESS: 40.0, SIDE_BY_SIDE: 60.0, INT8_UNIFORM: 30.0, FP32: 15.0}
    hugging_face = dict(zip(DTYPE_TO_HUGGING_FACE.values(), (10.0, 20.0), strict=True))
    for name, value in (rates | hugging_face | {SHORT_GRPC: 3.5, SHORT_IN_PROCESS: 1.0}).items():
        found.add(name, value)
    found.best_batch[IN_PROCESS] = 4

    figures = contest_figures(found)

    assert [figure.value for figure in figures] == [3.0, 1.5, 0.75, 0.5, 1.0, 2.0, 2.5]
    assert [figure.is_met for figure in figures] == [True, False, False, True, True, True, False]
    assert figures[2].detail == "30 tokens/s (int8, gRPC); 40 tokens/s (int8, in process, batch 4)"


def test_memory_may_grow_until_it_has_settled() -> None:
    curve = MemoryCurve((50, 450, 500, 550, 600), (100.0, 999.0, 200.0, 208.0, 204.0))

    assert curve.figure.value == pytest.approx(4.0)
    assert curve.figure.is_met


def test_formats_are_judged_by_the_slowest_and_the_largest() -> None:
    costs = (FormatCost("quick", 3.0, 1000.0), FormatCost("slow", 21.0, 300.0))

    slowest, largest = FormatCosts(BERT_BASE, 400.0, costs).figures
    of_another_shape = FormatCosts(Shape(layers=2, hidden=128), 400.0, costs).figures

    assert (slowest.value, slowest.is_met, slowest.detail) == (21.0, False, "slow")
    assert (largest.value, largest.is_met) == (2.5, True)
    assert largest.detail == "quick: 1,000 MB; weights 400 MB"
    assert [figure.required for figure in of_another_shape] == [None, None]
