"""The guide's code runs, and its settings are those of the stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertriton.spark import BertForSequenceClassification

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from pyspark.sql import DataFrame

    from bertriton_server import LocalServer

GUIDE = (Path(__file__).parents[2] / "docs" / "migrate-from-spark-nlp.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_every_block_of_the_guide_runs(
    texts_frame: Callable[..., DataFrame],
    imdb_server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)
    reviews = texts_frame(["I really liked that movie!", "Two hours of my life, gone."])
    names: dict[str, Any] = {
        "spark": reviews.sparkSession,
        "reviews": reviews,
        "folder": str(tmp_path / "model"),
    }

    for block in BLOCKS:
        exec(compile(block, "migrate-from-spark-nlp.md", "exec"), names)  # noqa: S102 (the guide is ours)

    printed = capsys.readouterr().out
    assert printed.count("[pos]") == printed.count("[neg]") == 4
    assert "['neg', 'pos']" in printed
    assert "['pos']" in printed


def test_every_setter_of_the_guide_exists() -> None:
    stage = BertForSequenceClassification()
    for name in re.findall(r"^\| `(set\w+)\(", GUIDE, re.MULTILINE):
        assert callable(getattr(stage, name))
    for name, default in (("Timeout", 180.0), ("InFlight", 8), ("SomeKeys", False)):
        assert getattr(stage, f"get{name}")() == default
