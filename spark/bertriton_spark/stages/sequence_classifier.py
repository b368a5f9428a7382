"""The stage behind all classifiers: documents go to Triton, and labels come back as annotations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyspark.ml import Transformer
from pyspark.ml.param import TypeConverters
from pyspark.sql import functions as F  # noqa: N812

from bertriton._access import access_from
from bertriton._references import Wish
from bertriton.contract import TRUNCATIONS
from bertriton_spark.annotations import CATEGORY, DOCUMENT, SENTENCE, TOKEN, Annotation, java_float
from bertriton_spark.columns import (
    category_annotations,
    inputs_by_type,
    pandas_function,
    with_annotations,
)
from bertriton_spark.errors import SettingError
from bertriton_spark.execution import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_TIMEOUT_S,
    SCORED_TYPE,
    Plan,
    Reading,
    Scoring,
    client_of,
    connection_of,
    scored_rows,
    scoring_function,
)
from bertriton_spark.pretrained import DEFAULT_LANGUAGE, target_of
from bertriton_spark.stages.params import AnnotatorParams, as_strings, param
from bertriton_spark.stages.saved_models import is_checkpoint, spark_nlp_params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame
    from typing_extensions import Self

# Spark NLP's own.
DEFAULT_BATCH_SIZE: Final = 8
DEFAULT_MAX_SENTENCE_LENGTH: Final = 128  # tokens
MOST_TOKENS: Final = 512
DEFAULT_THRESHOLD: Final = 0.5
SOFTMAX: Final = "softmax"
SIGMOID: Final = "sigmoid"
# Parameters that a stage saved by Spark NLP hands over.
_SAVED_BY_SPARK_NLP: Final = {
    "activation",
    "batchSize",
    "caseSensitive",
    "coalesceSentences",
    "inputCols",
    "maxSentenceLength",
    "multilabel",
    "outputCol",
    "threshold",
}


class SequenceClassifier(AnnotatorParams, Transformer):
    """What the classifiers of all families share; `BertForSequenceClassification` says what they do."""

    inputAnnotatorTypes = (DOCUMENT, TOKEN)
    outputAnnotatorType = CATEGORY
    defaultName: ClassVar[str]  # what `pretrained()` means

    batchSize = param("batchSize", "texts of a request", TypeConverters.toInt)
    caseSensitive = param(
        "caseSensitive", "False puts texts in lower case before they are sent", TypeConverters.toBoolean
    )
    maxSentenceLength = param(
        "maxSentenceLength", "tokens read of a text, at most the model's own limit", TypeConverters.toInt
    )
    coalesceSentences = param(
        "coalesceSentences", "whether a document's sentences are averaged", TypeConverters.toBoolean
    )
    activation = param("activation", f"{SOFTMAX} or {SIGMOID}", TypeConverters.toString)
    threshold = param("threshold", f"labels above it count, with {SIGMOID}", TypeConverters.toFloat)
    multilabel = param("multilabel", f"whether the activation is {SIGMOID}", TypeConverters.toBoolean)

    url = param("url", "gRPC addresses; partitions are spread over them", TypeConverters.toListString)
    model = param("model", "the classifier's name on the server", TypeConverters.toString)
    pretrainedName = param("pretrainedName", "a name of Spark NLP's model hub", TypeConverters.toString)
    pretrainedLang = param("pretrainedLang", "its language", TypeConverters.toString)
    local = param("local", "whether each host serves the model itself", TypeConverters.toBoolean)
    localModel = param("localModel", "model repository or checkpoint that it serves", TypeConverters.toString)
    timeout = param("timeout", "seconds for a request, retries included", TypeConverters.toFloat)
    inFlight = param("inFlight", "requests of a partition in flight at once", TypeConverters.toInt)
    errorCol = param("errorCol", "column that says why a row failed", TypeConverters.toString)
    truncation = param(
        "truncation", f"which part of a long text is read: {', '.join(TRUNCATIONS)}", TypeConverters.toString
    )
    someKeys = param(
        "someKeys", "whether scores stand under Some(label), as before 4.2.8", TypeConverters.toBoolean
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            batchSize=DEFAULT_BATCH_SIZE,
            caseSensitive=True,
            maxSentenceLength=DEFAULT_MAX_SENTENCE_LENGTH,
            coalesceSentences=False,
            activation=SOFTMAX,
            threshold=DEFAULT_THRESHOLD,
            multilabel=False,
            pretrainedLang=DEFAULT_LANGUAGE,
            local=False,
            timeout=DEFAULT_TIMEOUT_S,
            inFlight=DEFAULT_IN_FLIGHT,
            someKeys=False,
        )

    @classmethod
    def pretrained(
        cls,
        name: str | None = None,
        lang: str = DEFAULT_LANGUAGE,
        remote_loc: str | None = None,
    ) -> Self:
        """The classifier that a name of Spark NLP's model hub stands for; nothing is downloaded.

        Args:
            name: in the hub; default: that of Spark NLP.
            lang: the language, as in the hub.
            remote_loc: a server's gRPC address, in place of a bucket.
        """
        stage = cls().with_values(pretrainedName=name or cls.defaultName, pretrainedLang=lang)
        return stage.setUrl(remote_loc) if remote_loc else stage

    @classmethod
    def load(cls, path: str) -> Self:
        """A stage that was saved, or one whose model is a checkpoint on this machine.

        The checkpoint is anything that `bertriton export` reads. If Spark NLP saved it, its parameters are
        kept. Each host serves it itself, unless a server is named.
        """
        if not is_checkpoint(path):
            stage: Self = super().load(path)
            return stage
        saved = spark_nlp_params(path, _SAVED_BY_SPARK_NLP)
        return cls().with_values(localModel=path, **saved)

    @classmethod
    def loadSavedModel(cls, folder: str, spark_session: object = None) -> Self:  # noqa: ARG003  # Spark NLP's
        """As `load`, of a SavedModel, an ONNX export or a Hugging Face folder."""
        return cls().with_values(localModel=folder)

    def setUrl(self, *value: Any) -> Self:  # noqa: ANN401  # one list, or strings
        """Set the gRPC addresses, as strings or as one list."""
        return self._set(url=as_strings(value))

    def setMaxSentenceLength(self, value: int) -> Self:
        """Set how many tokens are read of a text.

        Raises:
            SettingError: over 512, as in Spark NLP, or below 1; also a ValueError.
        """
        if not 1 <= value <= MOST_TOKENS:
            raise SettingError(f"maxSentenceLength: expected 1 to {MOST_TOKENS}, found {value}")
        return self._set(maxSentenceLength=value)

    def setActivation(self, value: str) -> Self:
        """Set how logits become scores.

        Raises:
            SettingError: it is neither softmax nor sigmoid.
        """
        if value not in (SOFTMAX, SIGMOID):
            raise SettingError(f"activation: expected {SOFTMAX} or {SIGMOID}, found {value!r}")
        return self._set(activation=value)

    def setMultilabel(self, value: bool) -> Self:  # noqa: FBT001  # Spark NLP's signature
        """Set whether each label counts by itself, which sets the activation, too."""
        return self._set(multilabel=value, activation=SIGMOID if value else SOFTMAX)

    def getClasses(self) -> list[str]:
        """The labels in the order of the logits, asked of the server.

        Raises:
            BertritonError: it does not answer.
        """
        return list(client_of(connection_of(self.plan())).labels)

    def plan(self) -> Plan:
        """All that workers are told, from this stage's parameters and the driver's environment.

        Raises:
            UnknownModelError: there is neither a server nor a model to serve.
        """
        wish = Wish(
            self._if_set("model"),
            tuple(self._if_set("url") or ()),
            self._if_set("localModel"),
            is_local=self.getOrDefault("local"),
        )
        target = target_of(wish, self._if_set("pretrainedName"), self.getOrDefault("pretrainedLang"))
        return Plan(
            urls=target.urls,
            model=target.model,
            local=target.local,
            access=access_from(),
            timeout_s=self.getOrDefault("timeout"),
            in_flight=self.getOrDefault("inFlight"),
            rows_per_request=self._if_set("batchSize"),
            keep_errors=self.isSet("errorCol"),
            reading=Reading(self.getOrDefault("maxSentenceLength"), self._if_set("truncation")),
            scoring=Scoring(
                self._if_set("activation"),
                self.getOrDefault("threshold"),
                coalesce=self.getOrDefault("coalesceSentences"),
                some_keys=self.getOrDefault("someKeys"),
            ),
        )

    def _if_set(self, name: str) -> Any:  # noqa: ANN401
        return self.getOrDefault(name) if self.isSet(name) else None

    def _transform(self, dataset: DataFrame) -> DataFrame:
        inputs = inputs_by_type(dataset, self.getOrDefault("inputCols"), self.inputAnnotatorTypes, self.uid)
        documents = F.col(inputs[DOCUMENT])
        has_case = self.getOrDefault("caseSensitive")
        texts = F.transform(documents, lambda one: one["result"] if has_case else F.lower(one["result"]))
        # What Spark takes for deterministic it may compute again, which would send texts twice.
        scoring = pandas_function(scoring_function(self.plan()), SCORED_TYPE).asNondeterministic()
        hidden = f"_{self.uid}"
        scored = dataset.withColumn(hidden, scoring(texts))
        if self.isSet("errorCol"):
            scored = scored.withColumn(self.getOrDefault("errorCol"), F.col(hidden)["error"])
        annotations = category_annotations(F.col(hidden)["answers"], documents)
        return with_annotations(scored, self.getOrDefault("outputCol"), annotations, CATEGORY).drop(hidden)

    def annotated_rows(
        self,
        texts: Sequence[str],  # noqa: ARG002
        rows: Sequence[Mapping[str, list[Annotation]]],
    ) -> list[dict[str, list[Annotation]]]:
        """The rows with this stage's column, see `LightStage`."""
        documents = [self.input_of(row, DOCUMENT) for row in rows]
        has_case = self.getOrDefault("caseSensitive")
        sentences = [[one.result if has_case else one.result.lower() for one in row] for row in documents]
        # There is no error column here.
        scored = scored_rows(sentences, replace(self.plan(), keep_errors=False))
        made = [
            [_annotation(row[answer["sentence"]], answer) for answer in answers]
            for row, (answers, _) in zip(documents, scored, strict=True)
        ]
        return self.with_output(rows, made)


def _annotation(source: Annotation, answer: Mapping[str, Any]) -> Annotation:
    number = source.metadata.get(SENTENCE, str(answer["sentence"]))
    scores = {key: java_float(score) for key, score in answer["scores"].items()}
    return Annotation(CATEGORY, source.begin, source.end, answer["result"], {SENTENCE: number, **scores})
