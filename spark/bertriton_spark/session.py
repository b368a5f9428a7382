"""A Spark session, where none is there yet."""

from __future__ import annotations

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
    settings = {
        "spark.driver.memory": memory,
        # Workers that are started without it take another Python if PATH has one.
        "spark.pyspark.python": sys.executable,
        **(params or {}),
    }
    builder = SparkSession.builder.appName(APP_NAME)
    if "spark.master" not in settings and "spark.remote" not in settings:
        builder = builder.master(DEFAULT_MASTER)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()
