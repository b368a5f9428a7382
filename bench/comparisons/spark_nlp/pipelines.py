"""The same pipeline twice: of Spark NLP's stages, and of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sparknlp.annotator as their_annotators
import sparknlp.base as their_base
from pyspark.ml import Pipeline

import bertriton.spark as ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

# Sentences of a text in one inference: of more, Spark NLP before its pull request 14827 says of one what it
# has found of another.
_SENTENCES_AT_ONCE: Final = 1_024


@dataclass(frozen=True)
class Shape:
    """Which pipeline."""

    splits: bool = False  # whether sentences are classified
    cased: bool = False
    coalesces: bool = False  # whether sentences are averaged
    activation: str = "softmax"
    max_length: int = 512  # tokens, as the model card has it

    def __str__(self) -> str:
        parts = (
            "sentences" if self.splits else "documents",
            "cased" if self.cased else "uncased",
            self.activation,
            "coalesced" if self.coalesces else "",
        )
        return " ".join(filter(None, parts))


def load_theirs(folder: Path, spark: SparkSession) -> Any:  # noqa: ANN401 (Spark NLP has no types)
    """Their classifier: one that Spark NLP saved, else a SavedModel or an ONNX file with its assets."""
    kind = their_annotators.BertForSequenceClassification
    return (
        kind.load(str(folder)) if (folder / "metadata").is_dir() else kind.loadSavedModel(str(folder), spark)
    )


def pipeline_of_theirs(model: Any, shape: Shape) -> Pipeline:  # noqa: ANN401 (Spark NLP has no types)
    """Spark NLP's, with columns document, sentence, token and class.

    Its classifier is the one given, whose parameters are set, since a copy of Spark NLP's has no network: an
    earlier pipeline of it must have answered by then.
    """
    stages = _stages(
        their_base.DocumentAssembler(),
        their_annotators.SentenceDetector(),
        their_annotators.Tokenizer(),
        shape,
    )
    # The setters of some versions work once.
    classifier = model.setInputCols(*_inputs(shape)).setOutputCol("class")
    classifier._set(  # noqa: SLF001
        maxSentenceLength=shape.max_length,
        batchSize=_SENTENCES_AT_ONCE,
        caseSensitive=shape.cased,
        coalesceSentences=shape.coalesces,
        activation=shape.activation,
    )
    return Pipeline(stages=[*stages, classifier])


def pipeline_of_ours(url: str, model: str, shape: Shape, *, alone: bool = False) -> Pipeline:
    """Ours, asking a server; `alone` leaves only the classifier, for columns that are there."""
    stages = _stages(ours.DocumentAssembler(), ours.SentenceDetector(), ours.Tokenizer(), shape)
    classifier = (
        ours.BertForSequenceClassification()
        .setInputCols(*_inputs(shape))
        .setOutputCol("class")
        .setUrl(url)
        .with_values(
            model=model,
            maxSentenceLength=shape.max_length,
            coalesceSentences=shape.coalesces,
            activation=shape.activation,
        )
    )
    return Pipeline(stages=[classifier] if alone else [*stages, classifier])


def _inputs(shape: Shape) -> tuple[str, str]:
    return ("sentence" if shape.splits else "document", "token")


def _stages(document: Any, sentence: Any, token: Any, shape: Shape) -> Sequence[Any]:  # noqa: ANN401
    document.setInputCol("text").setOutputCol("document")
    sentence.setInputCols(["document"]).setOutputCol("sentence")
    token.setInputCols([_inputs(shape)[0]]).setOutputCol("token")
    return [document, sentence, token] if shape.splits else [document, token]
