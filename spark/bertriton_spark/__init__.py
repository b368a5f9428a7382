"""Spark NLP's classifiers as stages of pyspark.ml, with the networks on Triton: `bertriton.spark`.

Example:
    >>> import bertriton.spark
    >>> from bertriton.spark import *
    >>> spark = bertriton.spark.start()
    >>> document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    >>> token = Tokenizer().setInputCols(["document"]).setOutputCol("token")
    >>> label = BertForSequenceClassification.pretrained()
    >>> label.setInputCols(["token", "document"]).setOutputCol("class")
    >>> Pipeline(stages=[document, token, label]).fit(reviews).transform(reviews).select("class.result")
"""

from pyspark.ml import Pipeline, PipelineModel

from bertriton_spark.annotations import Annotation
from bertriton_spark.errors import (
    ColumnError,
    LocalServerError,
    SettingError,
    SparkError,
    UnknownModelError,
)
from bertriton_spark.light import LightPipeline
from bertriton_spark.session import start, version
from bertriton_spark.stages import (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    DocumentAssembler,
    Finisher,
    RoBertaForSequenceClassification,
    SentenceDetector,
    Tokenizer,
    TokenizerModel,
    XlmRoBertaForSequenceClassification,
)

__all__ = [
    "Annotation",
    "BertForSequenceClassification",
    "ColumnError",
    "DistilBertForSequenceClassification",
    "DocumentAssembler",
    "Finisher",
    "LightPipeline",
    "LocalServerError",
    "Pipeline",
    "PipelineModel",
    "RoBertaForSequenceClassification",
    "SentenceDetector",
    "SettingError",
    "SparkError",
    "Tokenizer",
    "TokenizerModel",
    "UnknownModelError",
    "XlmRoBertaForSequenceClassification",
    "start",
    "version",
]

# Spark ML writes a stage's module into what it saves, and must find it there in every later version.
for _stage in (
    BertForSequenceClassification,
    DistilBertForSequenceClassification,
    DocumentAssembler,
    Finisher,
    RoBertaForSequenceClassification,
    SentenceDetector,
    Tokenizer,
    TokenizerModel,
    XlmRoBertaForSequenceClassification,
):
    _stage.__module__ = "bertriton.spark"
