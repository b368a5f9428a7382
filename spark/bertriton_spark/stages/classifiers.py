"""The classifiers, one class a family as in Spark NLP; the server knows what a model really is."""

from __future__ import annotations

from bertriton_spark.stages.sequence_classifier import SequenceClassifier


class BertForSequenceClassification(SequenceClassifier):
    """Classify documents with a BERT model on Triton, see `SequenceClassifier`.

    Example:
        >>> classifier = (
        ...     BertForSequenceClassification.pretrained("bert_base_sequence_classifier_imdb", "en")
        ...     .setInputCols(["token", "document"])
        ...     .setOutputCol("class")
        ... )
    """

    defaultName = "bert_base_sequence_classifier_imdb"


class DistilBertForSequenceClassification(SequenceClassifier):
    """Classify documents with a DistilBERT model on Triton, see `SequenceClassifier`."""

    defaultName = "distilbert_base_sequence_classifier_imdb"


class RoBertaForSequenceClassification(SequenceClassifier):
    """Classify documents with a RoBERTa model on Triton, see `SequenceClassifier`."""

    defaultName = "roberta_base_sequence_classifier_imdb"


class XlmRoBertaForSequenceClassification(SequenceClassifier):
    """Classify documents with an XLM-RoBERTa model on Triton, see `SequenceClassifier`."""

    defaultName = "xlm_roberta_base_sequence_classifier_imdb"
