"""Stages of a pyspark.ml Pipeline under Spark NLP's names, with its parameters and columns.

In: a data frame with a column of texts. Out: the same with annotation columns. Each stage can also annotate
texts without Spark, which `LightPipeline` does.
"""

from bertriton_spark.stages.classifiers import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    RoBertaForSequenceClassification,
    XlmRoBertaForSequenceClassification,
)
from bertriton_spark.stages.document_assembler import DocumentAssembler
from bertriton_spark.stages.finisher import Finisher
from bertriton_spark.stages.params import LightStage
from bertriton_spark.stages.sentence_detector import SentenceDetector
from bertriton_spark.stages.tokenizer import Tokenizer, TokenizerModel

__all__ = [
    "BertForSequenceClassification",
    "DistilBertForSequenceClassification",
    "DocumentAssembler",
    "Finisher",
    "LightStage",
    "RoBertaForSequenceClassification",
    "SentenceDetector",
    "Tokenizer",
    "TokenizerModel",
    "XlmRoBertaForSequenceClassification",
]
