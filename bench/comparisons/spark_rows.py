"""Rows through Spark against `bertriton classify --input`, on this machine: `make bench-spark`.

Both read Parquet and write Parquet: Spark a folder of one file a core, the command one file. They ask one
server, in turns, after a turn of each that does not count. Times of the clock depend on what else the machine
does; seconds of CPU hardly do, and say what a row costs each of the parts.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bertriton.spark import BertForSequenceClassification, DocumentAssembler, Pipeline, Tokenizer, start
from bertriton_server import LocalServer
from comparisons.processor_time import cpu_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

_PARTS: Final = 2  # files, and tasks at the same time
_REVIEWS: Final = Path(__file__).parents[2] / "tests" / "data" / "reviews.csv"


@dataclass(frozen=True)
class Turn:
    """What one run took."""

    wall_s: float
    client_s: float  # of CPU, of the program that asks and all that it has started
    server_s: float  # likewise of Triton


def measured(run: Callable[[], object], client: Callable[[], float], server_pid: int) -> Turn:
    """The turn of a run."""
    before = client(), cpu_s(server_pid)
    started = time.perf_counter()
    run()
    wall_s = time.perf_counter() - started
    return Turn(wall_s, client() - before[0], cpu_s(server_pid) - before[1])


def classified(frame: DataFrame, url: str) -> DataFrame:
    """The frame with the model card's pipeline behind it."""
    stages = [
        DocumentAssembler().setInputCol("text").setOutputCol("document"),
        Tokenizer().setInputCols(["document"]).setOutputCol("token"),
        BertForSequenceClassification()
        .setInputCols(["token", "document"])
        .setOutputCol("class")
        .with_values(maxSentenceLength=512, url=[url]),
    ]
    return Pipeline(stages=stages).fit(frame).transform(frame)


def main() -> None:
    """Print a table for docs/spark.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default="model_repository")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with _REVIEWS.open(encoding="utf-8", newline="") as file:
        reviews = [row["text"] for row in csv.DictReader(file)]
    texts = [f"{reviews[place % len(reviews)]} {place}" for place in range(options.rows)]
    with LocalServer(options.repository) as server, TemporaryDirectory() as folder:
        turns = _turns(texts, server, Path(folder), options.rounds)
    print(f"{options.rows} rows, {options.rounds} rounds, {os.cpu_count()} cores\n")
    print("| asked by | rows/s | CPU of the asking side, ms a row | CPU of Triton, ms a row |")
    print("|---|---:|---:|---:|")
    for name, found in turns.items():
        rate = options.rows / statistics.median(turn.wall_s for turn in found)
        client, served = (
            1e3 * statistics.median(getattr(turn, field) for turn in found) / options.rows
            for field in ("client_s", "server_s")
        )
        print(f"| {name} | {rate:,.0f} | {client:.2f} | {served:.2f} |")


def _turns(texts: list[str], server: LocalServer, folder: Path, rounds: int) -> dict[str, list[Turn]]:
    whole, source = folder / "texts.parquet", folder / "texts"
    pq.write_table(pa.table({"text": texts}), whole)
    source.mkdir()
    for part in range(_PARTS):
        pq.write_table(pa.table({"text": texts[part::_PARTS]}), source / f"part-{part}.parquet")
    spark = start(params={"spark.master": f"local[{_PARTS}]", "spark.ui.enabled": "false"})
    frame = classified(spark.read.parquet(str(source)), server.grpc_url).select("text", "class")
    assert frame.rdd.getNumPartitions() == _PARTS  # noqa: S101 (or one of the cores is idle)
    command = [
        sys.executable,
        "-m",
        "bertriton",
        "classify",
        "--url",
        server.grpc_url,
        "--input",
        str(whole),
    ]

    def by_spark() -> None:
        frame.write.parquet(str(folder / f"answers-{time.monotonic_ns()}"))

    def by_command() -> None:
        output = folder / f"answers-{time.monotonic_ns()}.parquet"
        subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)  # noqa: S603

    own = os.getpid()
    turns: dict[str, list[Turn]] = {"Spark, local[2]": [], "`bertriton classify --input`": []}
    for _ in range(rounds + 1):
        for name, run in zip(turns, (by_spark, by_command), strict=True):
            turns[name].append(measured(run, lambda: cpu_s(own, without=server.pid), server.pid))
    spark.stop()
    return {name: found[1:] for name, found in turns.items()}


if __name__ == "__main__":
    main()
