"""`SentenceDetector`: documents become sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.ml import Transformer
from pyspark.ml.param import TypeConverters
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from bertriton_spark.annotations import DOCUMENT, SENTENCE, Annotation, utf16_length
from bertriton_spark.columns import annotation, cut_in_python, inputs_by_type, with_annotations
from bertriton_spark.stages.params import AnnotatorParams, param
from bertriton_spark.stages.sentence_rules import Sentence, SentenceRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

DEFAULT_MAX_LENGTH: Final = 99_999

# The sentences of a row, in lists of one length.
_SENTENCES_TYPE: Final = StructType(
    [
        StructField("begin", ArrayType(IntegerType())),
        StructField("end", ArrayType(IntegerType())),
        StructField("result", ArrayType(StringType())),
    ]
)


class SentenceDetector(AnnotatorParams, Transformer):
    """Cut documents into sentences; see `sentence_rules` for how.

    Example:
        >>> SentenceDetector().setInputCols(["document"]).setOutputCol("sentence").transform(documents)
    """

    inputAnnotatorTypes = (DOCUMENT,)
    outputAnnotatorType = DOCUMENT

    useAbbreviations = param(
        "useAbbreviations", "whether common abbreviations are known", TypeConverters.toBoolean
    )
    detectLists = param("detectLists", "whether list items begin sentences", TypeConverters.toBoolean)
    customBounds = param("customBounds", "patterns between sentences", TypeConverters.toListString)
    useCustomBoundsOnly = param(
        "useCustomBoundsOnly", "whether sentences end at customBounds alone", TypeConverters.toBoolean
    )
    explodeSentences = param(
        "explodeSentences", "whether each sentence gets a row of its own", TypeConverters.toBoolean
    )
    minLength = param("minLength", "UTF-16 units of a sentence at least", TypeConverters.toInt)
    maxLength = param("maxLength", "UTF-16 units of a sentence at most", TypeConverters.toInt)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            useAbbreviations=True,
            detectLists=True,
            customBounds=[],
            useCustomBoundsOnly=False,
            explodeSentences=False,
            minLength=0,
            maxLength=DEFAULT_MAX_LENGTH,
        )

    def rules(self) -> SentenceRules:
        """The parameters as rules."""
        return SentenceRules(
            abbreviations=self.getOrDefault("useAbbreviations"),
            lists=self.getOrDefault("detectLists"),
            custom_bounds=tuple(self.getOrDefault("customBounds")),
            custom_only=self.getOrDefault("useCustomBoundsOnly"),
        )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        inputs = inputs_by_type(dataset, self.getOrDefault("inputCols"), self.inputAnnotatorTypes, self.uid)
        name: str = self.getOrDefault("outputCol")
        hidden = f"_{self.uid}"
        cut_dataset, pieces = cut_in_python(
            dataset, F.col(inputs[DOCUMENT]), _cutting(self._kept_sentences()), _SENTENCES_TYPE, hidden
        )
        sentences = F.transform(pieces, _sentence_annotation)
        if self.getOrDefault("explodeSentences"):
            cut_dataset = cut_dataset.withColumn(hidden, F.explode(sentences))
            sentences = F.array(F.col(hidden))
        return with_annotations(cut_dataset, name, sentences, DOCUMENT).drop(hidden)

    def _kept_sentences(self) -> Callable[[Sequence[str]], list[Sentence]]:
        """What gives the sentences of a row's documents; it holds no stage, so that Spark can send it."""
        rules = self.rules()
        least: int = self.getOrDefault("minLength")
        most: int = self.getOrDefault("maxLength")

        def kept(texts: Sequence[str]) -> list[Sentence]:
            found = [one for text in texts for one in rules.sentences(text)]
            kept = [one for one in found if least <= utf16_length(one.text) <= most]
            return sorted(kept, key=lambda one: one.begin)

        return kept

    def annotated_rows(
        self,
        texts: Sequence[str],  # noqa: ARG002
        rows: Sequence[Mapping[str, list[Annotation]]],
    ) -> list[dict[str, list[Annotation]]]:
        """The rows with this stage's column, see `LightStage`."""
        kept = self._kept_sentences()
        documents = [[one.result for one in self.input_of(row, DOCUMENT)] for row in rows]
        made = [
            [
                Annotation(DOCUMENT, one.begin, one.end, one.text, {SENTENCE: str(place)})
                for place, one in enumerate(kept(texts_of_row))
            ]
            for texts_of_row in documents
        ]
        return self.with_output(rows, made)


def _cutting(
    kept: Callable[[Sequence[str]], list[Sentence]],
) -> Callable[[Sequence[str]], list[tuple[int, int, str]]]:
    return lambda texts: [(one.begin, one.end, one.text) for one in kept(texts)]


def _sentence_annotation(sentence: Column, place: Column) -> Column:
    metadata = F.create_map(F.lit(SENTENCE), place.cast("string"))
    return annotation(DOCUMENT, sentence["begin"], sentence["end"], sentence["result"], metadata)
