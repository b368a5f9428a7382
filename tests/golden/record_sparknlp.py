"""Record what the real Spark NLP makes of texts and of tiny classifiers, and these as it saves them.

Run by hand on Java 17, in an environment of its own a version, from the project's folder:

    python3.11 -m venv .venv-sparknlp
    .venv-sparknlp/bin/pip install pyspark==3.5.3 spark-nlp==5.5.3 numpy pandas
    .venv-sparknlp/bin/python tests/golden/record_sparknlp.py JARS SAVED_MODEL

and once more with pyspark==3.4.3 spark-nlp==3.4.4 'numpy<2' 'pandas<3' setuptools. JARS is a folder with
`com.johnsnowlabs.nlp:spark-nlp_2.12` of that version and what Maven's `dependency:copy-dependencies` brings
with it. 5.5.3's own builds of TensorFlow, llama.cpp and OpenVINO were not to be had: recorded without them,
and with `org.tensorflow:tensorflow-core-api` 0.4.2 (also its `linux-x86_64`) and protobuf-java 3.19.4 alone.
SAVED_MODEL is made by record_sparknlp_model.py.

Writes tests/data/sparknlp/saved/VERSION-ENGINE.zip and tests/data/sparknlp/answers-VERSION.json.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import sparknlp
from pyspark.ml import Pipeline
from pyspark.sql import SparkSession
from random_texts import digests, random_texts
from sparknlp.annotator import BertForSequenceClassification, SentenceDetector, Tokenizer
from sparknlp.base import DocumentAssembler
from sparknlp_texts import EDGES, RANDOM_COUNT, SEED, asked_of_classifiers, reviews

GOLDEN = Path(__file__).parent
DATA = GOLDEN.parent / "data"
EMBEDDED = GOLDEN.parent.parent / "checkpoints" / "imdb-minilm"
MAX_LENGTH = 32  # tokens of the tiny classifiers
MEMORY = "1500m"


def start(jars: Path) -> SparkSession:
    """A session of one core with the jars of a folder."""
    settings = {
        "spark.jars": ",".join(map(str, sorted(jars.glob("*.jar")))),
        "spark.driver.memory": MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def load(spark: SparkSession, folder: Path) -> Any:
    """A classifier from a SavedModel or an ONNX file, with the columns of a pipeline."""
    model = BertForSequenceClassification.loadSavedModel(str(folder), spark)
    return model.setInputCols("sentence", "token").setOutputCol("class").setMaxSentenceLength(MAX_LENGTH)


def stages(*, splits: bool) -> list[Any]:
    """What stands before the classifier, with sentences or without."""
    document = DocumentAssembler().setInputCol("text").setOutputCol("document" if splits else "sentence")
    sentences = [SentenceDetector().setInputCols("document").setOutputCol("sentence")] if splits else []
    return [document, *sentences, Tokenizer().setInputCols("sentence").setOutputCol("token")]


class Pieces:
    """The ids of texts, by the very methods that the annotators call."""

    def __init__(self, spark: SparkSession, model: Any) -> None:
        self.jvm = spark._jvm  # noqa: SLF001 (no public way to the JVM)
        frame = spark.createDataFrame([["a"]]).toDF("text")
        # Kept, since Python lets go of what is in the JVM with them.
        self.stages = (Pipeline(stages=stages(splits=False)).fit(frame).stages[-1], model)
        self.tokenizer = self.stages[0]._java_obj  # noqa: SLF001
        self.network = model._java_obj.getModelIfNotSet()  # noqa: SLF001
        self.none = getattr(getattr(self.jvm.scala, "None$"), "MODULE$")

    def ids(self, text: str, *, cased: bool) -> list[int]:
        """Of one text, without the special tokens around it and before truncation."""
        common, lists = self.jvm.com.johnsnowlabs.nlp.annotators.common, self.jvm.java.util.Collections
        sentence = common.Sentence(text, 0, len(text) - 1, 0, self.none)
        to_scala = self.jvm.scala.collection.JavaConverters.asScalaBufferConverter
        tokens = self.tokenizer.tag(to_scala(lists.singletonList(sentence)).asScala().toSeq())
        pieces = self.network.tokenizeWithAlignment(tokens, 2**30, cased).apply(0).tokens()
        return [pieces[index].pieceId() for index in range(len(pieces))]


def record_pieces(pieces: Pieces, vocabulary: list[str]) -> dict[str, Any]:
    """The pieces of `EDGES`, and digests of the ids of reviews and random texts."""
    found = {}
    for case, cased in (("cased", True), ("uncased", False)):
        others = [*reviews(), *random_texts(RANDOM_COUNT, SEED)]
        found[case] = {
            "edges": [[vocabulary[one] for one in pieces.ids(text, cased=cased)] for text in EDGES],
            "digests": digests(pieces.ids(text, cased=cased) for text in others),
        }
    return found


def record_answers(spark: SparkSession, model: Any) -> dict[str, Any]:
    """What pipelines answer to `EDGES` and a few reviews: a list of annotations a text."""
    frame = spark.createDataFrame([[text] for text in asked_of_classifiers()]).toDF("text")
    answers = {}
    for splits in (False, True):
        for cased in (True, False):
            for activation in ("softmax", "sigmoid"):
                # The setter of older versions works once.
                model._set(caseSensitive=cased, activation=activation)  # noqa: SLF001
                rows = Pipeline(stages=[*stages(splits=splits), model]).fit(frame).transform(frame)
                found = [[annotation(row) for row in answer["class"]] for answer in rows.collect()]
                name = "sentences" if splits else "document"
                answers[f"{name} {'cased' if cased else 'uncased'} {activation}"] = found
    return answers


def annotation(row: Any) -> dict[str, Any]:
    """Where it stands, and its scores."""
    scores = {name: float(score) for name, score in row.metadata.items() if name != "sentence"}
    return {"begin": row.begin, "end": row.end, "result": row.result, "scores": scores}


def save(model: Any, engine: str) -> None:
    """A zip as those that are downloaded, with Spark's checksum files left out of it."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        model.write().save(str(saved))
        for file in saved.rglob(".*.crc"):
            file.unlink()
        target = DATA / "sparknlp" / "saved" / f"{sparknlp.version()}-{engine}"
        target.parent.mkdir(exist_ok=True)
        shutil.make_archive(str(target), "zip", saved)


def onnx_folder(folder: Path) -> Path:
    """A traced ONNX file with the assets that Spark NLP wants beside it."""
    (folder / "assets").mkdir(parents=True)
    shutil.copyfile(DATA / "formats" / "gelu-traced-13.onnx", folder / "model.onnx")
    shutil.copyfile(DATA / "formats" / "gelu" / "vocab.txt", folder / "assets" / "vocab.txt")
    (folder / "assets" / "labels.txt").write_text("neg\npos\n", encoding="utf-8")
    return folder


def main(jars: Path, saved_model: Path) -> None:
    """Record all of one version."""
    spark = start(jars)
    found: dict[str, Any] = {"version": sparknlp.version()}
    model = load(spark, saved_model)
    save(model, "tensorflow")
    found["tensorflow"] = record_answers(spark, model)
    write(found)
    with tempfile.TemporaryDirectory() as folder:
        if not sparknlp.version().startswith("3."):
            save(load(spark, onnx_folder(Path(folder) / "onnx")), "onnx")
        large = shutil.copytree(saved_model, Path(folder) / "large")
        vocabulary = json.loads((EMBEDDED / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        words = sorted(vocabulary, key=vocabulary.__getitem__)
        (large / "assets" / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        write(found | record_pieces(Pieces(spark, load(spark, large)), words))


def write(found: dict[str, Any]) -> None:
    """What was recorded so far."""
    file = DATA / "sparknlp" / f"answers-{sparknlp.version()}.json"
    file.write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
