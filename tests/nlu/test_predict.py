"""NLU's one-liner says of data of any kind what the client says of its texts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from bertriton import Classification, ClassifierInfo, Client, ModelNotReadyError, nlu
from bertriton_nlu.frames import Shape, classified_frame
from bertriton_server import LocalServer

if TYPE_CHECKING:
    from tests.conftest import Review

REFERENCE = "en.classify.bert_sequence.imdb"
TEXTS = ["I really liked that movie!", "Two hours of my life, gone. Dull.", "Great \U0001f3ac film. See it!"]
ARCHITECTURES = Path(__file__).parents[1] / "data" / "architectures"
LABEL_SCORE = "classified_sequence_{}_confidence"
COLUMNS = ["classified_sequence", "classified_sequence_confidence", "document"]


def test_the_one_liner_of_the_model_card(configured: LocalServer) -> None:
    assert isinstance(configured, LocalServer)

    found = nlu.load(REFERENCE, verbose=False, gpu=False).predict("I really liked that movie!")

    assert list(found.columns) == COLUMNS
    assert found.classified_sequence.tolist() == ["pos"]
    assert 0.9 < found.classified_sequence_confidence.item() < 1
    assert found.document.tolist() == ["I really liked that movie!"]


@pytest.mark.parametrize(
    "data",
    [
        TEXTS,
        tuple(TEXTS),
        pd.Series(TEXTS, name="of any name"),
        np.array(TEXTS),
        pd.DataFrame({"text": TEXTS}),
        pd.DataFrame({"of any name": TEXTS}),
    ],
    ids=["list", "tuple", "Series", "ndarray", "DataFrame", "DataFrame without text"],
)
def test_data_of_any_kind_is_classified_as_the_client_does(configured: LocalServer, data: object) -> None:
    with Client(configured.grpc_url, "imdb") as client:
        answers = client.classify(TEXTS)

    found = nlu.load(REFERENCE).predict(data)

    assert list(found.columns) == COLUMNS
    assert found.classified_sequence.tolist() == [answer.label for answer in answers]
    assert found.classified_sequence_confidence.tolist() == [answer.score for answer in answers]
    assert found.document.tolist() == TEXTS


def test_index_and_other_columns_stay(configured: LocalServer) -> None:
    data = pd.DataFrame({"stars": [5, 1], "text": TEXTS[:2], "by": ["a", None]}, index=[7, 3])
    pipeline = nlu.load("imdb", url=configured.grpc_url)

    kept = pipeline.predict(data)
    alone = pipeline.predict(data, keep_stranger_features=False)

    assert list(kept.columns) == sorted([*COLUMNS, "stars", "text", "by"])
    assert kept.index.tolist() == [7, 3]
    assert kept.stars.tolist() == [5, 1]
    assert list(alone.columns) == COLUMNS
    assert list(data.columns) == ["stars", "text", "by"]


@pytest.mark.usefixtures("configured")
def test_a_row_a_sentence_with_its_place() -> None:
    found = nlu.load(REFERENCE).predict(TEXTS, output_level="sentence", positions=True)

    assert found.sentence.tolist() == [
        "I really liked that movie!",
        "Two hours of my life, gone.",
        "Dull.",
        "Great \U0001f3ac film.",
        "See it!",
    ]
    assert found.index.tolist() == [0, 1, 1, 2, 2]
    assert "document" not in found.columns
    assert found.classified_sequence_begin.tolist() == [0, 0, 28, 0, 15]
    assert found.classified_sequence_end.tolist() == [25, 26, 32, 13, 21]


def test_metadata_has_the_score_of_every_label(configured: LocalServer) -> None:
    with Client(configured.grpc_url, "imdb") as client:
        answer = client.classify("Dull.")

    found = nlu.load(REFERENCE).predict(TEXTS[1], output_level="sentence", metadata=True)

    assert found.classified_sequence_origin_sentence.tolist() == ["0", "1"]
    assert found.classified_sequence_neg_confidence.tolist()[1] == answer.scores["neg"]
    assert found.classified_sequence_pos_confidence.tolist()[1] == answer.scores["pos"]
    assert found.document.tolist() == [TEXTS[1]] * 2


@pytest.mark.parametrize("level", ["document", "sentence", ""])  # the last is the default, as in NLU
@pytest.mark.usefixtures("configured")
def test_rows_without_a_word_stay_without_a_label(level: str) -> None:
    found = nlu.load(REFERENCE).predict(["Great film.", "", None, " \n", float("nan")], output_level=level)

    assert found.classified_sequence.tolist() == ["pos", None, None, None, None]
    assert found.classified_sequence_confidence.isna().tolist() == [False, True, True, True, True]
    assert len(nlu.load(REFERENCE).predict([])) == 0


def test_a_multi_label_model_gives_lists_and_is_served_from_its_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BERTRITON_PRECISION", "fp32")
    pipeline = nlu.load("en.classify.topics", str(ARCHITECTURES / "bert-multi"))

    found = pipeline.predict(TEXTS, metadata=True)

    scores = {name: found[name] for name in map(LABEL_SCORE.format, ("funny", "sad", "long"))}
    for row, labels in enumerate(found.classified_sequence):
        over = {name: column[row] for name, column in scores.items() if column[row] >= 0.5}
        assert found.classified_sequence_confidence[row] == [
            over[LABEL_SCORE.format(label)] for label in labels
        ]
        assert len(over) == len(labels)


@pytest.mark.needs("java")
def test_a_spark_frame_is_classified_by_its_workers(configured: LocalServer, reviews: list[Review]) -> None:
    texts = [review.text for review in reviews]
    with Client(configured.grpc_url, "imdb") as client:
        answers = client.classify(texts)

    script = Path(__file__).parent / "on_spark.py"
    done = subprocess.run(
        [sys.executable, script], input=json.dumps(texts), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == (
        "struct<classified_sequence:string,classified_sequence_confidence:double,document:string,"
        "id:int,text:string>"
    )
    assert sorted(found["rows"], key=lambda row: int(row["id"])) == [
        {
            "classified_sequence": answer.label,
            "classified_sequence_confidence": answer.score,
            "document": text,
            "id": index,
            "text": text,
        }
        for index, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
    assert found["columns"] == COLUMNS
    assert set(found["labels"]) <= {"neg", "pos"}


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (7, {}, "found int"),
        (np.array([TEXTS]), {}, "found ndarray"),
        (pd.DataFrame(), {}, "without columns"),
        (["fine", 7], {}, "row 1: expected a text or nothing, found int 7"),
        (pd.DataFrame({"text": TEXTS, "document": TEXTS}), {}, "columns document are names of answers"),
        (pd.DataFrame([TEXTS], columns=["text", "by", "by"]), {}, "distinct names, found 'by' twice"),
        (pd.DataFrame([TEXTS], columns=["text", "text", "by"]), {}, "distinct names, found 'text' twice"),
        (pd.DataFrame([TEXTS], columns=["text", 7, "by"]), {}, "as names of its columns, found int 7"),
        (pd.DataFrame([TEXTS]), {}, "as names of its columns, found int 0"),
        (TEXTS, {"output_level": "token"}, "expected 'document' or 'sentence', found 'token'"),
        (TEXTS, {"return_spark_df": True}, "expected a Spark data frame"),
    ],
)
@pytest.mark.usefixtures("configured")
def test_what_cannot_be_classified_is_refused(data: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(nlu.NluError, match=message):
        nlu.load(REFERENCE).predict(data, **options)


@pytest.mark.parametrize("made_by", [("old", "new"), ("new", "new")], ids=["both", "the new one"])
def test_no_frame_mixes_models(made_by: tuple[str, ...]) -> None:
    info = ClassifierInfo("imdb", ("neg", "pos"), "single_label_classification", 512, 8, "5e0c", "old")
    answers = [
        Classification("bad", 0.9, {"bad": 0.9, "good": 0.1}, (1.0, 0.0), 3, truncated=False, fingerprint=one)
        for one in made_by
    ]
    frame = pd.DataFrame({"text": TEXTS[:2]})

    with pytest.raises(ModelNotReadyError, match=r"begun with the export old, and texts .* answered by new;"):
        classified_frame(frame, "text", Shape(metadata=True), info, lambda _: answers)


def test_a_regression_is_refused(golden_server: LocalServer) -> None:
    with pytest.raises(nlu.UnsupportedModelError, match="regression"):
        nlu.load("reranker", url=golden_server.grpc_url).predict(TEXTS)
