"""The guide's code runs, and its settings are those of the stage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertriton.spark import BertForSequenceClassification

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from pyspark.sql import DataFrame, SparkSession

    from bertriton_server import LocalServer

GUIDE = (Path(__file__).parents[2] / "docs" / "migrate-from-spark-nlp.md").read_text(encoding="utf-8")
NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebooks" / "from_spark_nlp.ipynb"
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


def test_the_guides_notebook_runs_and_is_committed_without_outputs(
    spark: SparkSession,  # the one that the notebook's `start()` gives it
    imdb_server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}

    for cell in cells:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)  # noqa: S102 (it is ours)

    assert names["spark"] is spark
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    printed = capsys.readouterr().out
    assert "|  0| [pos]|\n|  1| [neg]|" in printed
    assert "|  3|    []|" in printed
    assert re.search(
        r"\|2 +\|\[A slow first half\., Then it is wonderful!] *\|\[\w+, \w+] *\|\[\w+]", printed
    )
    assert re.search(r"\|3 +\|\[] *\|\[] *\|\[] *\|", printed)
    assert "['pos', 'neg']" in printed
