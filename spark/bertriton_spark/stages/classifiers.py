"""The classifiers, one class a family as in Spark NLP; the server knows what a model really is."""

from __future__ import annotations

from bertriton_spark.stages.sequence_classifier import SequenceClassifier


class BertForSequenceClassification(SequenceClassifier):
    """Classify documents, or sentences, with a BERT model on Triton.

    Reads a column of documents and one of tokens, in any order. The token column must be there, but is not
    used: the server has a tokenizer of its own. A document without a token gets no annotation.

    Texts go to the addresses of `setUrl`, else to those of the variable BERTRITON_URL, else to the one that
    the table has for the pretrained name, else to a server that each host runs itself. With `setLocal(True)`
    each host runs one in any case.

    Parameters of Spark NLP mean what they mean there, but for two. `batchSize` is the number of texts in a
    request; unless it is set, the server's own limit holds. Unless `setActivation` is called, the model's own
    activation holds.

    Raises (inside the task):
        BertritonError: a row could not be answered, unless `errorCol` is set.

    Example:
        >>> classifier = (
        ...     BertForSequenceClassification.pretrained("bert_base_sequence_classifier_imdb", "en")
        ...     .setInputCols(["token", "document"])
        ...     .setOutputCol("class")
        ... )
    """

    defaultName = "bert_base_sequence_classifier_imdb"


class DistilBertForSequenceClassification(SequenceClassifier):
    """Classify documents with a DistilBERT model on Triton, as `BertForSequenceClassification` does."""

    defaultName = "distilbert_base_sequence_classifier_imdb"


class RoBertaForSequenceClassification(SequenceClassifier):
    """Classify documents with a RoBERTa model on Triton, as `BertForSequenceClassification` does."""

    defaultName = "roberta_base_sequence_classifier_imdb"


class XlmRoBertaForSequenceClassification(SequenceClassifier):
    """Classify documents with an XLM-RoBERTa model on Triton, as `BertForSequenceClassification` does."""

    defaultName = "xlm_roberta_base_sequence_classifier_imdb"
