"""The classifier stage: equal to the client, row by row, in every way that a pipeline can say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F  # noqa: N812
from tests.spark.pipelines import annotated, pipeline_of

from bertriton import Client
from bertriton.spark import (
    BertForSequenceClassification,
    ColumnError,
    Finisher,
    LightPipeline,
    Pipeline,
    PipelineModel,
    SentenceDetector,
    SettingError,
    Tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from tests.conftest import Review

    from bertriton import Classification
    from bertriton_server import LocalServer

PATIENCE_S = 600.0
TOO_LONG = "x " * 1_100_000  # bytes, over the client's limit
SENTENCES = "What a film! Two hours of my life, gone."


def same(annotation: Any, answer: Classification) -> bool:
    """Whether label and scores are equal, to the last bit of a 32-bit float."""
    scores = {label: np.float32(annotation["metadata"][label]) for label in answer.scores}
    return annotation["result"] == answer.label and scores == {
        label: np.float32(score) for label, score in answer.scores.items()
    }


def test_rows_equal_the_clients_answers(
    texts_frame: Callable[..., DataFrame],
    classifier: Any,
    many_texts: list[str],
    imdb_server: LocalServer,
) -> None:
    frame = texts_frame(many_texts)

    rows = annotated(frame, classifier.setInFlight(3).setBatchSize(16)).select("id", "class").collect()

    with Client(imdb_server.grpc_url, timeout=PATIENCE_S) as client:
        answers = client.classify(many_texts)
    assert [row["id"] for row in rows] == list(range(len(many_texts)))
    assert all(same(row["class"][0], answer) for row, answer in zip(rows, answers, strict=True))


def test_texts_without_a_token_get_no_annotation(
    texts_frame: Callable[..., DataFrame], classifier: Any
) -> None:
    rows = annotated(texts_frame(["", " \n\t", None, "😀 Great. 😀"]), classifier).collect()

    assert [len(row["class"]) for row in rows] == [0, 0, 0, 1]
    assert (rows[3]["class"][0]["begin"], rows[3]["class"][0]["end"]) == (0, 11)  # as Java counts


def test_a_light_pipeline_says_the_same(
    texts_frame: Callable[..., DataFrame], classifier: Any, reviews: list[Review]
) -> None:
    texts = [review.text for review in reviews[:20]] + ["", "😀 Great. 😀"]
    model = pipeline_of(classifier).fit(texts_frame(texts))

    rows = model.transform(texts_frame(texts)).collect()
    full = LightPipeline(model).fullAnnotate(texts)

    for row, light in zip(rows, full, strict=True):
        assert list(light) == ["document", "token", "class"]
        for name, found in light.items():
            assert [vars(one) for one in found] == [one.asDict() for one in row[name]]
    assert LightPipeline(model).annotate(texts[0])["class"] == [rows[0]["class"][0]["result"]]


def test_sentences_are_classified_each_or_averaged(
    texts_frame: Callable[..., DataFrame], imdb_server: LocalServer, classifier: Any
) -> None:
    sentence = SentenceDetector().setInputCols(["document"]).setOutputCol("sentence")
    token = Tokenizer().setInputCols(["sentence"]).setOutputCol("word")
    each = classifier.setInputCols("word", "sentence").setSomeKeys(True)
    mean = each.copy().setCoalesceSentences(True).setOutputCol("mean")
    frame = texts_frame([SENTENCES])

    (row,) = pipeline_of(sentence, token, each, mean).fit(frame).transform(frame).collect()

    with Client(imdb_server.grpc_url) as client:
        first, second = client.classify(["What a film!", "Two hours of my life, gone."])
    assert [(one["begin"], one["end"], one["result"]) for one in row["class"]] == [
        (0, 11, first.label),
        (13, 39, second.label),
    ]
    assert [one["metadata"]["sentence"] for one in row["class"]] == ["0", "1"]
    assert np.float32(row["class"][1]["metadata"]["Some(pos)"]) == np.float32(second.scores["pos"])
    (one,) = row["mean"]
    expected = (first.scores["pos"] + second.scores["pos"]) / 2
    assert float(one["metadata"]["Some(pos)"]) == pytest.approx(expected, abs=1e-6)
    assert (one["begin"], one["end"], one["metadata"]["sentence"]) == (0, 11, "0")


def test_sigmoid_gives_each_label_above_the_threshold(
    texts_frame: Callable[..., DataFrame], classifier: Any, imdb_server: LocalServer
) -> None:
    classifier.setMultilabel(True).setThreshold(0.01)

    (row,) = annotated(texts_frame(["What a film!"]), classifier).collect()

    with Client(imdb_server.grpc_url) as client:
        answer = client.classify("What a film!")
    expected = {
        label: 1 / (1 + np.exp(-logit)) for label, logit in zip(answer.scores, answer.logits, strict=True)
    }
    assert [one["result"] for one in row["class"]] == [
        label for label, score in expected.items() if score > 0.01
    ]
    for label, score in expected.items():
        assert float(row["class"][0]["metadata"][label]) == pytest.approx(score, abs=1e-6)


def test_a_row_that_fails_says_so_in_the_error_column(
    texts_frame: Callable[..., DataFrame], classifier: Any
) -> None:
    frame = texts_frame(["Fine.", TOO_LONG, "Good."], partitions=1)

    rows = annotated(frame, classifier.setErrorCol("error")).select("id", "class.result", "error").collect()

    assert [row["result"] for row in rows] == [["pos"], [], ["pos"]]
    assert rows[0]["error"] is None
    assert rows[1]["error"].startswith("InvalidTextError: ")


def test_without_an_error_column_it_fails_its_task(
    texts_frame: Callable[..., DataFrame], classifier: Any
) -> None:
    with pytest.raises(Exception, match="InvalidTextError"):
        annotated(texts_frame(["Fine.", TOO_LONG]), classifier).select("class").collect()


def test_no_text_is_sent_twice_where_spark_could_compute_again(
    texts_frame: Callable[..., DataFrame], classifier: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = annotated(texts_frame(["Fine."]), classifier).filter(F.size("class") > 0)

    frame.select("class.result", F.col("class.metadata")).explain()

    plan = capsys.readouterr().out
    assert plan.count("ArrowEvalPython") == 1  # and none of the tokens, which nobody reads
    assert "bertriton(imdb at " in plan  # what Spark's SQL page shows


def test_a_saved_pipeline_is_the_same_when_loaded(
    texts_frame: Callable[..., DataFrame], classifier: Any, tmp_path: Path
) -> None:
    frame = texts_frame(["What a lovely film."])
    finisher = Finisher().setInputCols(["class"])
    pipeline = pipeline_of(classifier.setCaseSensitive(False), finisher)

    pipeline.write().overwrite().save(str(tmp_path / "pipeline"))
    pipeline.fit(frame).save(str(tmp_path / "model"))

    loaded = PipelineModel.load(str(tmp_path / "model"))
    stage: Any = loaded.stages[2]
    assert type(stage).__name__ == "BertForSequenceClassification"
    assert stage.extractParamMap() == classifier.extractParamMap()
    assert loaded.transform(frame).collect()[0]["finished_class"] == ["pos"]
    assert len(Pipeline.load(str(tmp_path / "pipeline")).getStages()) == 4


def test_a_stream_is_classified(
    spark: SparkSession, texts_frame: Callable[..., DataFrame], classifier: Any, tmp_path: Path
) -> None:
    frame = texts_frame(["What a lovely film.", "Two hours of my life, gone."])
    frame.write.json(str(tmp_path / "in"))
    stream = spark.readStream.schema(frame.schema).json(str(tmp_path / "in"))

    query = (
        annotated(stream, classifier)
        .select("id", F.col("class.result").alias("result"))
        .writeStream.format("memory")
        .queryName("classified")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()

    rows = spark.table("classified").orderBy("id").collect()
    assert [row["result"] for row in rows] == [["pos"], ["neg"]]


def test_columns_of_the_wrong_kind_are_refused(
    texts_frame: Callable[..., DataFrame], classifier: Any
) -> None:
    frame = texts_frame(["x"])

    with pytest.raises(ColumnError, match="expected 2 input columns"):
        classifier.setInputCols(["document"])
    with pytest.raises(ColumnError, match="token is missing"):
        classifier.transform(frame.withColumnRenamed("text", "document"))
    with pytest.raises(ColumnError, match=r"document and token, found id \(None\)"):
        classifier.setInputCols("id", "text").transform(frame)


def test_settings_out_of_range_are_refused(classifier: Any) -> None:
    with pytest.raises(SettingError, match="1 to 512, found 513"):
        classifier.setMaxSentenceLength(513)
    with pytest.raises(SettingError, match="softmax or sigmoid"):
        classifier.setActivation("relu")


def test_the_servers_labels_are_the_classes(classifier: Any) -> None:
    assert classifier.getClasses() == ["neg", "pos"]
    assert (classifier.getMaxSentenceLength(), classifier.getBatchSize()) == (512, 8)
    assert BertForSequenceClassification().getMaxSentenceLength() == 128
