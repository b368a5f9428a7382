"""Pipelines as the model card has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bertriton.spark import DocumentAssembler, Pipeline, Tokenizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def pipeline_of(*stages: Any) -> Pipeline:
    """Documents and tokens of the column `text`, and what comes after them."""
    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    token = Tokenizer().setInputCols(["document"]).setOutputCol("token")
    return Pipeline(stages=[document, token, *stages])


def annotated(frame: DataFrame, classifier: Any) -> DataFrame:
    """The frame with the pipeline's columns."""
    return pipeline_of(classifier).fit(frame).transform(frame)
