"""A Spark frame classified on two workers, in a process of its own, which has Spark's warnings and its JVM.

Takes JSON from standard input, a list of texts, and gives JSON: schema, rows, and a pandas frame's columns.
"""

from __future__ import annotations

import json
import os
import sys

from pyspark.sql import SparkSession

from bertriton import nlu

SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}


def main() -> None:
    """Classify the texts by both ways of `predict`."""
    os.environ["PYSPARK_PYTHON"] = sys.executable  # or workers are PATH's first python3
    texts = json.load(sys.stdin)
    spark = SparkSession.builder.master("local[2]").config(map=SETTINGS).getOrCreate()
    data = spark.createDataFrame([*enumerate(texts)], "id int, text string").repartition(3)
    pipeline = nlu.load("en.classify.bert_sequence.imdb")
    rows = pipeline.predict(data, return_spark_df=True)
    frame = pipeline.predict(data.limit(2).select("text"))
    found = {
        "schema": rows.schema.simpleString(),
        "rows": [row.asDict() for row in rows.collect()],
        "columns": list(frame.columns),
        "labels": frame["classified_sequence"].tolist(),
    }
    spark.stop()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
