"""Spark NLP and `bertriton.spark` on the same rows, in one run: every field of every annotation.

Run by hand on Java 17, in an environment of its own, from the project's folder:

    python3.11 -m venv .venv-sparknlp
    .venv-sparknlp/bin/pip install pyspark==3.5.3 spark-nlp==5.5.3 'pandas<3' -e '.[export,serve,spark]'
    PYTHONPATH=bench .venv-sparknlp/bin/python -m comparisons.beside_spark_nlp JARS MODEL TEXTS.parquet

JARS is that of tests/golden/record_sparknlp.py. MODEL is a folder that Spark NLP has saved, or that of a
SavedModel or an ONNX file (tests/golden/record_sparknlp_onnx.py makes one of a checkpoint). Spark NLP saves
it, and what it has saved is exported with `--tokenization sparknlp` and in fp32.

In turn: each whole pipeline, and our classifier on the documents, sentences and tokens that Spark NLP has
made. What differs is printed; the exit status is 1 where a schema does, or a row of any column.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from bertriton_export import export
from bertriton_server import LocalServer
from comparisons.spark_nlp import (
    Difference,
    Shape,
    differing,
    load_theirs,
    pipeline_of_ours,
    pipeline_of_theirs,
    start_with_jars,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

# Rows beside the reviews.
_EDGES: Final = (
    "",
    " ",
    "\n\t",
    None,
    "...",
    "😀",
    "😀 Great. 😀 Bad film!",
    "What a 👍🏽 film! 👨‍👩‍👧 Two hours of my life, gone. I didn't like it.",
    "First one.\n\n  Second one.  \n",
    "naïve café, “quoted” text… and more",
)
# All rows; the other combinations are asked of the edges and `--few` reviews.
_WHOLE: Final = (
    Shape(),
    Shape(cased=True, activation="sigmoid"),
    Shape(splits=True),
    Shape(splits=True, cased=True, activation="sigmoid"),
    Shape(splits=True, coalesces=True),
    Shape(splits=True, cased=True, coalesces=True, activation="sigmoid"),
)
_SHOWN: Final = 5  # differences of a column


def shapes() -> Iterator[Shape]:
    """Every combination."""
    for values in itertools.product((False, True), (False, True), (False, True), ("softmax", "sigmoid")):
        yield Shape(*values)


def exported(model: Any, folder: Path) -> Path:  # noqa: ANN401 (Spark NLP has no types)
    """A repository of what Spark NLP saves: the classifiers `cased` and `uncased`."""
    for name, cased in (("cased", True), ("uncased", False)):
        model._set(caseSensitive=cased)  # noqa: SLF001
        model.write().save(str(folder / name))
        export(
            folder / name,
            name=name,
            repository=folder / "repository",
            precision="fp32",
            tokenization="sparknlp",
        )
    return folder / "repository"


class Comparison:
    """One model on both sides."""

    def __init__(self, spark: SparkSession, model: Any, url: str) -> None:  # noqa: ANN401
        self._spark = spark
        self._model = model
        self._url = url
        self.count = 0

    def of(self, shape: Shape, texts: Sequence[str | None]) -> None:
        """Ask both, and print what differs."""
        rows = self._spark.sparkContext.parallelize(list(enumerate(texts)), 2)
        frame = self._spark.createDataFrame(rows, "id int, text string")
        theirs = pipeline_of_theirs(self._model, shape).fit(frame).transform(frame).cache()
        name = "cased" if shape.cased else "uncased"
        ours = pipeline_of_ours(self._url, name, shape).fit(frame).transform(frame)
        print(f"\n## {shape}: {len(texts)} rows", flush=True)
        if ours.schema != theirs.schema:
            self.count += 1
            print(f"schema: theirs {theirs.schema.json()}\n        ours {ours.schema.json()}")
        self._report(theirs, ours, texts)
        classifier = pipeline_of_ours(self._url, name, shape, alone=True)
        before = theirs.drop("class")
        self._report(theirs.select("class"), classifier.fit(before).transform(before).select("class"), texts)
        theirs.unpersist()

    def _report(self, theirs: DataFrame, ours: DataFrame, texts: Sequence[str | None]) -> None:
        names = [name for name in theirs.columns if name not in ("id", "text")]
        left, right = theirs.select(names).collect(), ours.select(names).collect()
        for name in names:
            column = [row[name] for row in left]
            found = differing(column, [row[name] for row in right])
            rows = {one.row for one in found}
            self.count += len(rows)
            annotations = sum(len(one or []) for one in column)
            fields = dict(Counter(one.field for one in found))
            print(f"{name}: {annotations} annotations, {len(rows)} rows differ {fields or ''}", flush=True)
            for one in _first_of_rows(found):
                print(f"  row {one.row} {texts[one.row]!r:.160}\n    {one.field} at {one.place}")
                print(f"    theirs {one.theirs}\n    ours   {one.ours}")


def _first_of_rows(found: Sequence[Difference]) -> list[Difference]:
    by_row = {one.row: one for one in reversed(found)}
    return [by_row[row] for row in sorted(by_row)][:_SHOWN]


def main() -> None:
    """Compare, and say by the exit status whether nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jars", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path, help="parquet with a column text")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--few", type=int, default=50)
    parser.add_argument("--max-length", type=int, default=512, help="tokens; at most what the model reads")
    options = parser.parse_args()
    reviews = pq.read_table(options.texts).column("text").to_pylist()[: options.rows]
    spark = start_with_jars(options.jars, cores=2, onnx_threads=1)
    model = load_theirs(options.model, spark)
    with TemporaryDirectory() as folder, LocalServer(exported(model, Path(folder))) as server:
        comparison = Comparison(spark, model, server.grpc_url)
        for shape in (*_WHOLE, *(one for one in shapes() if one not in _WHOLE)):
            some = reviews if shape in _WHOLE else reviews[: options.few]
            comparison.of(replace(shape, max_length=options.max_length), [*_EDGES, *some])
    spark.stop()
    print(f"\n{comparison.count} differing columns of rows")
    sys.exit(comparison.count > 0)


if __name__ == "__main__":
    main()
