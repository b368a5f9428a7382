"""What is claimed follows from what was measured: which way a limit goes, and what is compared with what."""

from __future__ import annotations

import pytest

from comparisons.checkpoints import BERT_BASE, Shape
from comparisons.contenders import CTRANSLATE2, HUGGING_FACE, INFINITY, OPENVINO
from comparisons.figures import Figure
from comparisons.parts import REVIEWS, SNIPPETS, FormatCost, FormatCosts, MemoryCurve, Rounds, contest_figures
from comparisons.parts.contest import (
    CEILING,
    FP32,
    IN_PROCESS,
    LISTS,
    SHORT_GRPC,
    SHORT_IN_PROCESS,
    SIDE_BY_SIDE,
    UNIFORM_SINGLES,
    held_out,
    singles,
    snippets,
)


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


def rounds(title: str, texts: str, **settings: object) -> Rounds:
    return Rounds("part", title, texts, 64, 277.0, **settings)  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    """The ratio of the medians would be another: what the machine else does falls on both of one round."""
    found = rounds("MiniLM", REVIEWS)
    for ours, theirs in ((100.0, 10.0), (300.0, 100.0), (200.0, 50.0)):
        found.add(LISTS, ours)
        found.add(FP32, theirs)

    assert found.ratio(LISTS, FP32) == 4.0
    assert found.median(LISTS) == 200.0
    assert found.difference(LISTS, FP32) == 150.0


def test_what_had_a_turn_in_the_first_round_alone_is_compared_in_that() -> None:
    found = rounds("MiniLM", SNIPPETS)
    for ours in (100.0, 300.0, 300.0):
        found.add(LISTS, ours)
    found.add(singles(64), 50.0)

    assert found.ratio(singles(64), LISTS) == 0.5


def test_the_first_round_finds_the_best_setting_and_the_others_keep_it() -> None:
    found = rounds("MiniLM", REVIEWS)
    tried = []

    def value(setting: str) -> float:
        tried.append(setting)
        return {"a": 1.0, "b": 3.0, "c": 2.0}[setting] * len(tried)

    for _ in range(3):
        found.add_best(OPENVINO, ["a", "b", "c"], value)

    assert tried == ["a", "b", "c", "b", "b"]
    assert found.best == {OPENVINO: "b"}
    assert found.rounds == {OPENVINO: [6.0, 12.0, 15.0]}


def test_a_contest_comes_to_the_claims_of_its_texts() -> None:
    found = rounds("BERT-base shape", REVIEWS, operations_per_token=BERT_BASE.operations_per_token)
    rates = {LISTS: 3000.0, OPENVINO: 3000.0, CTRANSLATE2: 2000.0, HUGGING_FACE: 1000.0, INFINITY: 500.0}
    rates |= {IN_PROCESS: 4000.0, SIDE_BY_SIDE: 6000.0, FP32: 1000.0, CEILING: 849.3}
    rates |= {singles(16): 2700.0, UNIFORM_SINGLES: 3000.0, singles(16, INFINITY): 300.0}
    for name, value in (rates | {SHORT_GRPC: 2.5, SHORT_IN_PROCESS: 1.0}).items():
        found.add(name, value)
    found.best |= {OPENVINO: "bf16, batch 1", CEILING: "(512, 768, 3072)"}
    found.agreement[OPENVINO] = 0.5

    figures = contest_figures(found)

    against, shares, single, requests = figures[:4], figures[4:9], figures[9:11], figures[11:]
    assert [(figure.value, figure.required, figure.is_met) for figure in against] == [
        (1.0, 1.05, False),
        (1.5, None, True),
        (3.0, 2.5, True),
        (6.0, 5.0, True),
    ]
    assert against[0].detail == (
        "3,000 tokens/s (int8, gRPC, lists); 3,000 tokens/s (OpenVINO int8, in process, bf16, batch 1); "
        "same label 50.0%"
    )
    # 3,000 tokens/s of 169.9 MOP, of 849.3 GOP/s
    assert [round(figure.value, 1) for figure in shares] == [60.0, 60.0, 40.0, 20.0, 10.0]
    assert [figure.required for figure in shares] == [65.0, None, None, None, None]
    assert [(figure.value, figure.required) for figure in single] == [(0.9, None), (9.0, None)]
    assert [(figure.value, figure.required) for figure in requests] == [
        (0.75, 0.9),
        (0.5, None),
        (0.9, 0.95),
        (3.0, 2.3),
        (1.5, 1.0),
    ]
    assert not requests[-1].is_met


def test_snippets_have_claims_of_their_own() -> None:
    found = rounds("MiniLM", SNIPPETS, operations_per_token=21_233_664)
    for name, value in {LISTS: 100.0, OPENVINO: 100.0, HUGGING_FACE: 20.0, singles(16): 70.0}.items():
        found.add(name, value)

    figures = contest_figures(found)

    assert [(figure.value, figure.required) for figure in figures] == [(1.0, 1.0), (5.0, None), (0.7, 0.75)]


def test_another_familys_ratio_is_told_and_not_judged() -> None:
    found = rounds("DeBERTa-v3-base shape", REVIEWS)
    for name, value in {LISTS: 30.0, HUGGING_FACE: 20.0, singles(16): 30.0}.items():
        found.add(name, value)

    assert [(figure.value, figure.required) for figure in contest_figures(found)] == [
        (1.5, None),
        (1.0, None),
    ]


def test_texts_that_quantise_are_not_timed() -> None:
    texts = [f"review {number}" for number in range(100)]

    calibration, kept = held_out(texts)

    assert len(calibration) == 64
    assert sorted(calibration + kept) == sorted(texts)
    with pytest.raises(SystemExit, match="64 texts are too few"):
        held_out(texts[:64])


def test_snippets_are_runs_of_words_from_everywhere() -> None:
    words = [str(number) for number in range(1000)]

    pieces = snippets([" ".join(words[:500]), " ".join(words[500:])], 20)

    assert [piece.split()[0] for piece in pieces] == words[::50]
    assert {6 <= len(piece.split()) <= 31 for piece in pieces} == {True}
    assert len({len(piece.split()) for piece in pieces}) > 5


def test_memory_may_grow_until_it_has_settled() -> None:
    curve = MemoryCurve((50, 450, 500, 550, 600), (100.0, 999.0, 200.0, 205.0, 204.0))

    assert curve.figure.value == pytest.approx(2.5)
    assert curve.figure.is_met


def test_formats_are_judged_by_the_slowest_and_the_largest() -> None:
    costs = (FormatCost("quick", 3.0, 1000.0), FormatCost("slow", 21.0, 300.0))

    slowest, largest = FormatCosts(BERT_BASE, 400.0, costs).figures
    of_another_shape = FormatCosts(Shape(layers=2, hidden=128), 400.0, costs).figures

    assert (slowest.value, slowest.is_met, slowest.detail) == (21.0, False, "slow")
    assert (largest.value, largest.is_met) == (2.5, True)
    assert largest.detail == "quick: 1,000 MB; weights 400 MB"
    assert [figure.required for figure in of_another_shape] == [None, None]
