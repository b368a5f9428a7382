r"""Rows a second through Spark NLP and through `bertriton.spark`, in turns, of the same texts in one session.

Run by hand, in the environment of beside_spark_nlp.py, from the project's folder:

    PYTHONPATH=bench .venv-sparknlp/bin/python -m comparisons.rows_beside_spark_nlp JARS TEXTS.parquet \
        --theirs onnx=FOLDER --theirs tensorflow=FOLDER --repository REPOSITORY

Each FOLDER is a model as Spark NLP loads it; all classifiers of REPOSITORY are asked. Run it once for every
pair of --cores and --onnx-threads that could be Spark NLP's best. A turn of each does not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from bertriton_server import LocalServer
from comparisons.processor_time import cpu_s
from comparisons.spark_nlp import Shape, load_theirs, pipeline_of_ours, pipeline_of_theirs, start_with_jars

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SHAPE: Final = Shape()
_THEIRS: Final = "Spark NLP"


@dataclass(frozen=True)
class Turn:
    """What a frame took that goes nowhere."""

    wall_s: float
    cpu_s: float  # of this process and all that it has started: Spark, its workers, Triton


def measured(frame: DataFrame) -> Turn:
    """Compute the answers of a frame."""
    before, started = cpu_s(os.getpid()), time.perf_counter()
    frame.select("class").write.format("noop").mode("overwrite").save()
    return Turn(time.perf_counter() - started, cpu_s(os.getpid()) - before)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jars", type=Path)
    parser.add_argument("texts", type=Path, help="parquet with a column text")
    parser.add_argument("--theirs", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--onnx-threads", type=int, default=1)
    options = parser.parse_args()
    texts = pq.read_table(options.texts).column("text").to_pylist()[: options.rows]
    spark = start_with_jars(options.jars, options.cores, options.onnx_threads)
    rows = spark.sparkContext.parallelize([(text,) for text in texts], options.cores)
    frame = spark.createDataFrame(rows, "text string").cache()
    frame.count()
    frames = {}
    for name, folder in (one.split("=", 1) for one in options.theirs):
        model = load_theirs(Path(folder), spark)
        frames[f"{_THEIRS}, {name}"] = pipeline_of_theirs(model, _SHAPE).fit(frame).transform(frame)
    with LocalServer(options.repository) as server:
        for config in sorted(options.repository.glob("*/config.pbtxt")):
            model = config.parent.name
            if (config.parent / "1" / "manifest.json").exists():
                pipeline = pipeline_of_ours(server.grpc_url, model, _SHAPE)
                frames[f"bertriton.spark, {model}"] = pipeline.fit(frame).transform(frame)
        turns = [{name: measured(one) for name, one in frames.items()} for _ in range(options.rounds + 1)][1:]
    spark.stop()
    print(f"{len(texts)} rows, local[{options.cores}], {options.onnx_threads} threads of ONNX Runtime a task")
    print("| | rows/s, median | of Spark NLP's best | from and to | ms of CPU a row, all processes |")
    print("|---|---:|---:|---:|---:|")
    medians = {name: statistics.median(len(texts) / turn[name].wall_s for turn in turns) for name in frames}
    best = max((rate for name, rate in medians.items() if name.startswith(_THEIRS)), default=None)
    for name, median in medians.items():
        rates = sorted(len(texts) / turn[name].wall_s for turn in turns)
        cpu_ms = 1e3 * statistics.median(turn[name].cpu_s for turn in turns) / len(texts)
        span = f"{rates[0]:.1f} to {rates[-1]:.1f}"
        ratio = f"{median / best:.2f}" if best else ""
        print(f"| {name} | {median:.1f} | {ratio} | {span} | {cpu_ms:.1f} |", flush=True)


if __name__ == "__main__":
    main()
