"""`rows.py` is copied into repositories and may not import: what it repeats is held to its source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, get_args

import pytest

import bertriton_export
from bertriton import contract
from bertriton._types import Aggregation, Truncation


@pytest.fixture(scope="module")
def rows() -> Any:
    """The module, loaded by its path as Triton does it."""
    file = Path(bertriton_export.__file__).parent / "repository" / "triton" / "rows.py"
    spec = importlib.util.spec_from_file_location("rows", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_marks_of_windows_are_those_that_the_network_reads(rows: Any) -> None:
    assert rows.AGGREGATION_TO_POSITION == {
        "mean": contract.NEXT_WINDOW_OF_MEAN,
        "max": contract.NEXT_WINDOW_OF_MAXIMUM,
    }
    assert contract.PADDING_POSITION not in rows.AGGREGATION_TO_POSITION.values()


def test_choices_of_a_request_are_those_of_the_client(rows: Any) -> None:
    assert list(get_args(Truncation)) == rows.TRUNCATIONS
    assert get_args(Aggregation) == tuple(rows.AGGREGATION_TO_POSITION)
