"""A Spark session, and the embedded classifier where no call says where it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton_server import LocalServer


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Spark with two workers on this machine."""
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)  # or workers are PATH's first python3
        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
        yield session
        session.stop()


@pytest.fixture
def configured(imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """The server, which the environment names."""
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)
    return imdb_server
