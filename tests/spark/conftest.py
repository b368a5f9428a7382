"""One Spark session for all tests, and pipelines that ask a real Triton."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet
from pyspark.sql import SparkSession

from bertriton.spark import BertForSequenceClassification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame
    from tests.conftest import Review

    from bertriton_server import LocalServer


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let pass here alone that PySpark leaves sockets to the garbage collector."""
    item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


# Two workers at once, and the tries of a task that a cluster gives it, which local[2] alone does not.
MASTER = "local[2,4]"
ROWS = 500


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Spark on this machine, without its pages."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master(MASTER)
        .appName("bertriton-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def many_texts(reviews: list[Review]) -> list[str]:
    """Some hundreds of different texts, or those of the parquet file that SPARK_REVIEWS names."""
    if file := os.environ.get("SPARK_REVIEWS"):
        texts: list[str] = parquet.read_table(file).column("text").to_pylist()
        return texts
    return [f"{reviews[place % len(reviews)].text} {place}" for place in range(ROWS)]


@pytest.fixture
def classifier(imdb_server: LocalServer) -> Any:
    """The stage as the model card has it, asking the shared Triton."""
    return (
        BertForSequenceClassification.pretrained("bert_base_sequence_classifier_imdb", "en")
        .setInputCols(["token", "document"])
        .setOutputCol("class")
        .setMaxSentenceLength(512)
        .setUrl(imdb_server.grpc_url)
    )


@pytest.fixture
def texts_frame(spark: SparkSession) -> Callable[..., DataFrame]:
    """Makes a data frame of texts, numbered in `id`, in two partitions."""

    def made(texts: list[Any], partitions: int = 2) -> DataFrame:
        rows = list(enumerate(texts))
        return spark.createDataFrame(spark.sparkContext.parallelize(rows, partitions), "id int, text string")

    return made
