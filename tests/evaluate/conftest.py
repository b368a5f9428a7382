"""The command on a real server, and small sets of predictions whose figures can be worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from bertriton.cli import bertriton
from bertriton_evaluate import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from numpy.typing import NDArray

    from bertriton_server import LocalServer


@pytest.fixture
def evaluate(imdb_server: LocalServer, tmp_path: Path) -> Callable[..., Result]:
    """Runs the command on the served classifier with a cache of its own."""

    def run(*arguments: str | Path, url: str = imdb_server.grpc_url) -> Result:
        words = ["evaluate", "--url", url, *map(str, arguments)]
        return CliRunner().invoke(bertriton, words, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})

    return run


@pytest.fixture
def predictions_of(tmp_path: Path) -> Callable[..., Predictions]:
    """Makes predictions of a matrix of probabilities."""

    def make(
        probabilities: NDArray[np.float64], token_counts: list[int] | None = None, truncated: int = 0
    ) -> Predictions:
        rows, columns = probabilities.shape
        return Predictions(
            file=tmp_path / "predictions.jsonl",
            labels=tuple("abcdefghijklmnopqrstuvwxyz"[:columns]),
            probabilities=probabilities,
            token_counts=np.array(token_counts or [10] * rows),
            truncated=np.arange(rows) < truncated,
            errors={},
        )

    return make


@pytest.fixture
def random_answers(predictions_of: Callable[..., Predictions]) -> tuple[Predictions, NDArray[np.intp]]:
    """Predictions of 400 texts and three labels, and what they are; the model is mostly right."""
    chance = np.random.default_rng(0)
    expected = chance.choice(3, size=400, p=[0.6, 0.3, 0.1])
    logits = chance.normal(size=(400, 3))
    logits[np.arange(400), expected] += 1.0
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = chance.integers(3, 1500, size=400).tolist()
    return predictions_of(probabilities, counts, truncated=37), expected
