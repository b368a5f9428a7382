"""The arithmetic of docs/spark.md starts from the rates in docs/benchmarks.md, and is right."""

from __future__ import annotations

import re

import pytest
from blocks import ROOT

PAGE = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
MS_PER_ROW = 0.25  # of CPU, on the asking side
ROWS_PER_CORE = 1_000 / MS_PER_ROW
TOKENS_PER_SNIPPET = 28


def tokens_per_s(claim: str) -> int:
    """What lists through gRPC reach, of the texts and model of a claim."""
    (rate,) = set(
        re.findall(rf"^\| {claim}: .*?([\d,]+) tokens/s \(int8, gRPC, lists\)", BENCHMARKS, re.MULTILINE)
    )
    return int(rate.replace(",", ""))


@pytest.mark.parametrize(
    ("model", "claim"), [("MiniLM", "MiniLM, reviews"), ("BERT-base", "BERT-base shape, reviews")]
)
def test_rows_of_replicas_follow_from_the_measured_rate(model: str, claim: str) -> None:
    rate = tokens_per_s(claim)
    cells = re.search(rf"^\| {model}, int8 \| (.*) \|$", PAGE, re.MULTILINE)
    assert cells is not None
    tokens, *found = (int(cell.replace(",", "")) for cell in cells[1].split(" | "))

    rows = rate / tokens
    assert f"{rate:,} " in PAGE
    assert found == [round(rows), round(10 * rows), round(100 * rows), round(ROWS_PER_CORE / rows)]


def test_rows_of_short_texts_follow_from_the_measured_rate() -> None:
    rate = tokens_per_s("MiniLM, snippets")
    words = " ".join(PAGE.split())

    rows = rate / TOKENS_PER_SNIPPET
    assert f"R is {rate:,} tokens a second for MiniLM" in words
    assert f"That is {round(rows)} rows a second of a replica" in words
    assert f"one asking core feeds {round(ROWS_PER_CORE / rows)} replicas" in words
