"""Without a server a host serves the model itself: once, for all of its workers, as long as they need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.conftest import ROOT, TINY_CHECKPOINTS
from tests.spark.pipelines import annotated

from bertriton import BertritonError, Client, RetryPolicy
from bertriton._references import Wish
from bertriton.spark import BertForSequenceClassification, LocalServerError, SettingError, UnknownModelError
from bertriton_spark.execution import spread_address
from bertriton_spark.pretrained import pretrained_model, target_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame

DEADLINE_S = 180.0
GOLDEN_TEXTS = 20
TOLERANCE = 1e-5  # of probabilities
CARD_NAME = "bert_base_sequence_classifier_imdb"
LEASE = """
import sys
from bertriton_spark.local import local_url
print(local_url(*sys.argv[1:]), flush=True)
sys.stdin.read()
"""


def leasing(source: Path, folder: Path) -> subprocess.Popen[str]:
    """A process that needs the server, until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", LEASE, str(source), "imdb"],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answers(url: str) -> bool:
    with Client(url, retry=RetryPolicy(max_attempts=1)) as client:
        try:
            return client.classify("Great.").label == "pos"
        except BertritonError:
            return False


def test_processes_share_a_server_that_ends_after_the_last(imdb_repository: Path, tmp_path: Path) -> None:
    first, second = leasing(imdb_repository, tmp_path), leasing(imdb_repository, tmp_path)
    assert first.stdout
    assert second.stdout
    url = first.stdout.readline().strip()
    assert second.stdout.readline().strip() == url
    assert answers(url)

    first.kill()
    first.communicate()
    assert answers(url)
    second.communicate("")

    give_up = time.monotonic() + DEADLINE_S
    while answers(url):
        assert time.monotonic() < give_up
        time.sleep(0.5)


def test_a_pipeline_without_a_server_starts_one(
    texts_frame: Callable[..., DataFrame],
    imdb_repository: Path,
) -> None:
    classifier = (
        BertForSequenceClassification.pretrained(CARD_NAME)
        .setInputCols(["token", "document"])
        .setOutputCol("class")
        .setLocalModel(str(imdb_repository))
    )

    rows = annotated(texts_frame(["What a lovely film.", "Two hours, gone."]), classifier).collect()

    assert [row["class"][0]["result"] for row in rows] == ["pos", "neg"]


def test_a_host_exports_a_checkpoint_and_serves_it_also_where_a_server_is_known(
    texts_frame: Callable[..., DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((ROOT / "tests" / "golden" / "one-layer.json").read_text("utf-8"))
    golden = [one for one in document if isinstance(one["text"], str) and one["text"].split()][:GOLDEN_TEXTS]
    frame = texts_frame([one["text"] for one in golden])
    classifier = BertForSequenceClassification().setInputCols(["token", "document"]).setOutputCol("class")
    monkeypatch.setenv("BERTRITON_CHECKPOINT", str(TINY_CHECKPOINTS / "one-layer"))
    monkeypatch.setenv("BERTRITON_PRECISION", "fp32")

    rows = annotated(frame, classifier).select("class").collect()
    monkeypatch.setenv("BERTRITON_URL", "nowhere.invalid:1")
    again = annotated(frame, classifier.setLocal(True)).select("class").collect()

    for row, one in zip(rows, golden, strict=True):
        powers = np.exp(one["logits"])
        scores = [float(row["class"][0]["metadata"][label]) for label in classifier.getClasses()]
        np.testing.assert_allclose(scores, powers / powers.sum(), atol=TOLERANCE)
    assert again == rows


def test_a_model_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    classifier = (
        BertForSequenceClassification.loadSavedModel(str(tmp_path))
        .setInputCols(["token", "document"])
        .setOutputCol("class")
    )

    with pytest.raises(LocalServerError, match=rf"no server for {tmp_path} on this host: \w+Error: "):
        classifier.getClasses()


def test_what_is_set_comes_before_the_environment_and_that_before_the_table(tmp_path: Path) -> None:
    table = tmp_path / "models.json"
    table.write_text(json.dumps({"mine/de": {"model": "m", "url": "table:1, table:2", "local": "folder"}}))
    known = {"BERTRITON_SPARK_MODELS": str(table)}
    asked = {"BERTRITON_URL": "there:1", "BERTRITON_MODEL": "named"}
    mine = ("mine", "de")

    assert target_of(Wish(), *mine, known).urls == ("table:1", "table:2")
    assert target_of(Wish(), *mine, known).model == "m"
    assert target_of(Wish(), *mine, known | asked).urls == ("there:1",)
    assert target_of(Wish(), *mine, known | asked).model == "named"
    assert target_of(Wish("own", ("set:1",)), *mine, known | asked).urls == ("set:1",)
    local = target_of(Wish(is_local=True), *mine, known | asked).local
    assert local is not None
    assert (local.source, local.name) == ("folder", "named")
    assert pretrained_model("other", "en", {}).model == "other"
    assert pretrained_model(CARD_NAME, "en", {}).model == "imdb"


def test_an_unknown_model_and_a_broken_table_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="set BERTRITON_URL or setUrl"):
        target_of(Wish(), "other", environment={})
    table = tmp_path / "models.json"
    table.write_text('{"mine": {"adress": "x"}}')
    with pytest.raises(SettingError, match="unknown fields adress"):
        target_of(Wish(), "mine", environment={"BERTRITON_SPARK_MODELS": str(table)})


def test_partitions_are_spread_over_addresses_and_a_second_try_goes_elsewhere() -> None:
    urls = ["a", "b", "c"]

    assert [spread_address(urls, partition, 0) for partition in range(4)] == ["a", "b", "c", "a"]
    assert [spread_address(urls, 1, attempt) for attempt in range(3)] == ["b", "c", "a"]


def test_a_stage_saved_by_spark_nlp_hands_over_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    written = {
        "class": "com.johnsnowlabs.nlp.annotators.classifier.dl.BertForSequenceClassification",
        "paramMap": {"caseSensitive": False, "maxSentenceLength": 256},
        "defaultParamMap": {"maxSentenceLength": 128, "engine": "tensorflow", "coalesceSentences": True},
    }
    (tmp_path / "metadata" / "part-00000").write_text(json.dumps(written) + "\n")

    stage: Any = BertForSequenceClassification.load(str(tmp_path))

    assert stage.getLocalModel() == str(tmp_path)
    assert (stage.getMaxSentenceLength(), stage.getCaseSensitive()) == (256, False)
    assert stage.getCoalesceSentences()
