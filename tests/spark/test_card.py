"""The model card's Python snippet runs with nothing changed but its import lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.types import (
    ArrayType,
    FloatType,
    IntegerType,
    MapType,
    StringType,
    StructField,
    StructType,
)

import bertriton
import bertriton.spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bertriton_server import LocalServer

# As on the card of bert_base_sequence_classifier_imdb, which leaves the imports to its reader.
CARD = """
document_assembler = DocumentAssembler() \\
    .setInputCol('text') \\
    .setOutputCol('document')

tokenizer = Tokenizer() \\
    .setInputCols(['document']) \\
    .setOutputCol('token')

sequenceClassifier = BertForSequenceClassification \\
      .pretrained('bert_base_sequence_classifier_imdb', 'en') \\
      .setInputCols(['token', 'document']) \\
      .setOutputCol('class') \\
      .setCaseSensitive(True) \\
      .setMaxSentenceLength(512)

pipeline = Pipeline(stages=[
    document_assembler,
    tokenizer,
    sequenceClassifier
])

# couple of simple examples
example = spark.createDataFrame([['I really liked that movie!']]).toDF("text")

result = pipeline.fit(example).transform(example)

# result is a DataFrame
result.select("text", "class.result").show()
"""
# printSchema of the real one, as its documentation shows it; Spark NLP marks the column with its kind.
ANNOTATION = StructType(
    [
        StructField("annotatorType", StringType(), nullable=True),
        StructField("begin", IntegerType(), nullable=False),
        StructField("end", IntegerType(), nullable=False),
        StructField("result", StringType(), nullable=True),
        StructField("metadata", MapType(StringType(), StringType(), valueContainsNull=True), nullable=True),
        StructField("embeddings", ArrayType(FloatType(), containsNull=False), nullable=True),
    ]
)
COLUMNS = {"document": "document", "token": "token", "class": "category"}


@pytest.fixture(scope="module")
def names(spark: SparkSession, imdb_server: LocalServer) -> dict[str, Any]:
    """What is defined after the snippet has run."""
    found: dict[str, Any] = {"spark": spark}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BERTRITON_URL", imdb_server.grpc_url)
        exec("from bertriton.spark import *\n" + CARD, found)  # noqa: S102  # it is the card's
    return found


def test_a_session_is_asked_for_as_of_spark_nlp(spark: SparkSession) -> None:
    assert bertriton.spark.start(gpu=True) is spark
    assert bertriton.spark.start(False, False, False, "2g") is spark  # noqa: FBT003  # in its order
    assert bertriton.spark.version() == bertriton.__version__


def test_a_light_pipeline_takes_spark_nlps_arguments(
    names: dict[str, Any], imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)
    model = names["pipeline"].fit(names["example"])

    light = bertriton.spark.LightPipeline(model, parse_embeddings=False)

    assert light.annotate("I really liked that movie!")["class"] == ["pos"]
    with pytest.raises(bertriton.spark.SettingError, match="no stage here makes embeddings"):
        bertriton.spark.LightPipeline(model, parse_embeddings=True)
    for target in (names["example"], ["fine", None]):
        with pytest.raises(bertriton.spark.SettingError, match="expected a text or a list of texts"):
            light.fullAnnotate(target)


def test_the_card_prints_its_result(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    names["result"].select("text", "class.result").show()

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert lines[0].split("|")[1:3] == ["                text", "result"]
    assert lines[1].endswith("| [pos]|")


def test_the_card_gives_spark_nlps_columns(names: dict[str, Any]) -> None:
    schema = names["result"].schema

    for name, kind in COLUMNS.items():
        expected = StructField(name, ArrayType(ANNOTATION), nullable=True, metadata={"annotatorType": kind})
        assert schema[name] == expected
    assert schema.names == ["text", *COLUMNS]


def test_the_card_gives_spark_nlps_annotations(names: dict[str, Any]) -> None:
    (row,) = names["result"].collect()

    assert row["document"][0].asDict() == {
        "annotatorType": "document",
        "begin": 0,
        "end": 25,
        "result": "I really liked that movie!",
        "metadata": {"sentence": "0"},
        "embeddings": [],
    }
    assert [one["result"] for one in row["token"]] == ["I", "really", "liked", "that", "movie", "!"]
    (found,) = row["class"]
    assert (found["annotatorType"], found["begin"], found["end"]) == ("category", 0, 25)
    assert (found["result"], found["embeddings"]) == ("pos", [])
    assert sorted(found["metadata"]) == ["neg", "pos", "sentence"]
    assert found["metadata"]["sentence"] == "0"
    assert abs(sum(float(found["metadata"][label]) for label in ("neg", "pos")) - 1) < 1e-6
