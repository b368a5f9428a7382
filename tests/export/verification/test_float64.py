"""The references of long texts: block by block, which changes nothing but memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rebuilt_checkpoints
from scipy.special import softmax

from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, float64, reference_logits, sample_texts

CHECKPOINTS = Path(__file__).parents[2] / "data" / "architectures"
LONG_TEXT = 6000
MAX_BYTES = 200 * 2**20  # the scores of one head are 275 MiB, and softmax makes several of them


def test_attention_of_a_long_text_holds_a_block_of_scores_at_once() -> None:
    query, key, value = np.random.default_rng(0).normal(size=(3, LONG_TEXT, 4))
    tracemalloc.start()

    context = float64.attention(query, key, value, heads=1)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_BYTES
    scores = query[-1] @ key.T / 2
    expected = np.exp(scores - scores.max()) @ value / np.exp(scores - scores.max()).sum()
    np.testing.assert_allclose(context[-1], expected, rtol=1e-12)


def test_a_token_attends_to_those_within_its_reach_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float64, "BLOCK_NUMBERS", 7 * 50)
    query, key, value = np.random.default_rng(0).normal(size=(3, 50, 8))

    context = float64.attention(query, key, value, heads=2, reach=3)

    places = np.arange(50)
    far = np.where(np.abs(places[:, None] - places) > 3, -np.inf, 0)
    for own in (slice(4), slice(4, 8)):
        expected = softmax(query[:, own] @ key[:, own].T / 2 + far, axis=1) @ value[:, own]
        np.testing.assert_allclose(context[:, own], expected, rtol=1e-12)


def folder_of(name: str, folder: Path) -> Path:
    """A checkpoint as it is kept, or rebuilt."""
    kept = CHECKPOINTS / name
    return kept if kept.exists() else rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(name), folder)


@pytest.mark.parametrize(
    "name",
    [
        "bert-single",
        "albert-single",
        "mpnet-single",
        "xlm-roberta-xl-single",
        "modernbert-single",
        "gte-single",
        "deberta-v2-single",
        "deberta-v2-multi",
    ],
)
def test_blocks_change_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = read_checkpoint(folder_of(name, tmp_path / name))
    encodings = encode(checkpoint, [" ".join(sample_texts()[:9]), *sample_texts()[:3]])
    expected = reference_logits(checkpoint, encodings)

    monkeypatch.setattr(float64, "BLOCK_NUMBERS", 5 * checkpoint.max_length)

    np.testing.assert_allclose(reference_logits(checkpoint, encodings), expected, rtol=0, atol=1e-12)
