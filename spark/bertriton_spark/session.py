"""A Spark session, where none is there yet."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pyspark.sql import SparkSession

from bertriton import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

APP_NAME: Final = "bertriton"
DEFAULT_MASTER: Final = "local[*]"
DEFAULT_MEMORY: Final = "2g"  # the network's memory is the server's


def start(
    gpu: bool = False,  # noqa: ARG001, FBT001, FBT002  # Spark NLP's, as the next two
    apple_silicon: bool = False,  # noqa: ARG001, FBT001, FBT002
    aarch64: bool = False,  # noqa: ARG001, FBT001, FBT002
    memory: str = DEFAULT_MEMORY,
    params: Mapping[str, str] | None = None,
) -> SparkSession:
    """The Spark session of this process, as `sparknlp.start()` gives one; on this machine if there is none.

    Args:
        gpu: changes nothing, as the server has the GPU.
        apple_silicon: changes nothing, as no jar is needed.
        aarch64: changes nothing, as no jar is needed.
        memory: of the driver; without effect where Spark is running already.
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


def version() -> str:
    """This package's version, as `sparknlp.version()` gives Spark NLP's."""
    return __version__
