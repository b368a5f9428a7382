"""Every format holds the same weights, and an export from it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from bertriton_export.reading import read_checkpoint
from comparisons.checkpoints import FORMATS, Shape, write_formats
from comparisons.parts import formats
from comparisons.parts.formats import format_costs

if TYPE_CHECKING:
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint

TINY = Shape(layers=1, hidden=64)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in every format."""
    folder = tmp_path_factory.mktemp("formats")
    write_formats(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def expected(written: Path) -> Checkpoint:
    """The one that is a copy of nothing."""
    return read_checkpoint(written / "safetensors")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_weights(written: Path, expected: Checkpoint, name: str) -> None:
    found = read_checkpoint(written / name)

    assert found.config == expected.config
    for tensor in expected.weights:
        np.testing.assert_array_equal(found.weights[tensor], expected.weights[tensor], tensor)


def test_time_and_memory_of_an_export_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One format is enough: each takes seconds, nearly all of them imports."""
    monkeypatch.setattr(formats, "FORMATS", ("sparknlp.zip",))
    told: list[str] = []

    found = format_costs(tmp_path, TINY, told.append)

    (cost,) = found.costs
    assert told == ["export from sparknlp.zip"]
    assert (tmp_path / "repository" / "benchmark_bert" / "1" / "model.onnx").exists()
    assert found.weights_megabytes == pytest.approx(8.2, abs=0.1)
    assert cost.seconds > 0
    # Python with onnx and numpy in it, and no more: a wrong unit would be far off.
    assert 50 < cost.megabytes < 1000
    assert found.rows[0][0] == "sparknlp.zip"
