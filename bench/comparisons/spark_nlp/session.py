"""A Spark session that has Spark NLP's jars."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from pathlib import Path

_MEMORY: Final = "4g"


def start_with_jars(jars: Path, cores: int, onnx_threads: int) -> SparkSession:
    """A session on this machine.

    Args:
        jars: folder of Spark NLP and what it needs.
        cores: tasks at the same time.
        onnx_threads: that ONNX Runtime takes for each of them; Spark NLP's own default is 6.
    """
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.jars": ",".join(map(str, sorted(jars.glob("*.jar")))),
        "spark.driver.memory": _MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # As `sparknlp.start()` has it.
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "2000M",
        "spark.jsl.settings.onnx.intraOpNumThreads": str(onnx_threads),
    }
    builder = SparkSession.builder.master(f"local[{cores}]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
