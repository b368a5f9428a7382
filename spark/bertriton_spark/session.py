"""A Spark session, where none is there yet."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from collections.abc import Mapping

APP_NAME: Final = "bertriton"
DEFAULT_MASTER: Final = "local[*]"
DEFAULT_MEMORY: Final = "2g"  # the network's memory is the server's


def start(*, memory: str = DEFAULT_MEMORY, params: Mapping[str, str] | None = None) -> SparkSession:
    """The Spark session of this process, as `sparknlp.start()` gives one; on this machine if there is none.

    Args:
        memory: of the driver, which a running one has already.
        params: further settings of Spark.
    """
    # Without it workers take the Python that PATH has; spark.pyspark.python is for spark-submit alone.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.driver.memory": memory, **(params or {})}
    builder = SparkSession.builder.appName(APP_NAME)
    if "spark.master" not in settings and "spark.remote" not in settings:
        builder = builder.master(DEFAULT_MASTER)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
