"""A measurement is of the time in which every slot was busy, and long enough to mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertriton_bench.errors import MeasurementError
from bertriton_bench.measurement import requests_for, summarise
from bertriton_bench.profile_export import Request, read_steps

DATA = Path(__file__).parent / "data"


def request(sent_s: float, answered_s: float, token_count: int = 10) -> Request:
    return Request(sent_s, answered_s, token_count, (0.5, 0.5))


def test_ramp_and_tail_are_left_out() -> None:
    # One slot, a second each; the last is sent at 4 s, the first answer is there at 1 s.
    requests = [request(second, second + 1) for second in range(5)]

    found = summarise("mixed", 1, requests, read_steps(DATA / "report.csv", "imdb"), 512)

    assert found.seconds == 3
    assert found.texts_per_s == 1
    assert found.tokens_per_s == 10
    assert (found.p50_ms, found.p99_ms) == (1000, 1000)


def test_tokens_that_were_cut_off_do_not_count() -> None:
    requests = [request(second, second + 1, token_count=900) for second in range(5)]

    found = summarise("long", 1, requests, read_steps(DATA / "report.csv", "imdb"), 512)

    assert found.tokens_per_s == 512


def test_tokenizers_share_is_of_compute_alone() -> None:
    requests = [request(second, second + 1) for second in range(5)]
    steps = read_steps(DATA / "report.csv", "imdb")

    found = summarise("mixed", 1, requests, steps, 512)

    assert found.tokenizer_share == steps[0].compute_ms / found.p50_ms


def test_too_few_answers_are_no_measurement() -> None:
    requests = [request(second, second + 1) for second in range(8)]

    with pytest.raises(MeasurementError, match="8 answers are too few to measure 4 in flight"):
        summarise("mixed", 4, requests, read_steps(DATA / "report.csv", "imdb"), 512)


def test_requests_last_as_long_as_asked_for_and_fill_every_slot() -> None:
    assert requests_for(8.0, texts_per_s=10.3, concurrency=1) == 83
    assert requests_for(8.0, texts_per_s=10.3, concurrency=64) == 256
