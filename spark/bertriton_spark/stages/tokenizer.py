"""`Tokenizer` and `TokenizerModel`: documents become tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pyspark.ml import Estimator, Model
from pyspark.ml.param import TypeConverters
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from bertriton_spark.annotations import DOCUMENT, SENTENCE, TOKEN, Annotation
from bertriton_spark.columns import (
    annotation,
    cut_in_python,
    inputs_by_type,
    sentence_number,
    with_annotations,
)
from bertriton_spark.errors import SettingError
from bertriton_spark.stages.params import AnnotatorParams, param
from bertriton_spark.stages.token_rules import CONTEXT_CHARS, DEFAULT_MAX_LENGTH, TokenRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame
    from typing_extensions import Self

# The tokens of a row, in lists of one length.
_TOKENS_TYPE: Final = StructType(
    [
        StructField("document", ArrayType(IntegerType())),  # which one of the row's
        StructField("begin", ArrayType(IntegerType())),  # from that one's own start
        StructField("end", ArrayType(IntegerType())),
        StructField("result", ArrayType(StringType())),
    ]
)


class _TokenizerParams(AnnotatorParams):
    """Parameters of both."""

    inputAnnotatorTypes = (DOCUMENT,)
    outputAnnotatorType = TOKEN

    contextChars = param(
        "contextChars", "characters cut off at both ends of a token", TypeConverters.toListString
    )
    splitChars = param("splitChars", "characters that part a token", TypeConverters.toListString)
    splitPattern = param(
        "splitPattern", "pattern that parts a token, in place of splitChars", TypeConverters.toString
    )
    exceptions = param("exceptions", "patterns of what stays whole", TypeConverters.toListString)
    caseSensitiveExceptions = param(
        "caseSensitiveExceptions", "whether exceptions are case-sensitive", TypeConverters.toBoolean
    )
    minLength = param("minLength", "UTF-16 units of a token at least", TypeConverters.toInt)
    maxLength = param("maxLength", "UTF-16 units of a token at most", TypeConverters.toInt)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            contextChars=list(CONTEXT_CHARS),
            caseSensitiveExceptions=True,
            minLength=0,
            maxLength=DEFAULT_MAX_LENGTH,
        )

    def setContextChars(self, value: Sequence[str]) -> Self:
        """Set the characters cut off at both ends of a token.

        Raises:
            SettingError: one is not a single character.
        """
        _require_characters("contextChars", value)
        return self._set(contextChars=list(value))

    def addException(self, value: str) -> Self:
        """Add a pattern of what stays whole."""
        return self._set(exceptions=[*self._list_of("exceptions"), value])

    def addContextChars(self, value: str) -> Self:
        """Add a character that is cut off at both ends of a token."""
        return self.setContextChars([*self._list_of("contextChars"), value])

    def addSplitChars(self, value: str) -> Self:
        """Add a character that parts a token."""
        return self._set(splitChars=[*self._list_of("splitChars"), value])

    def _list_of(self, name: str) -> list[str]:
        return list(self.getOrDefault(name)) if self.isDefined(name) else []


class Tokenizer(_TokenizerParams, Estimator[Any]):
    """Cut documents into tokens, by Spark NLP's rules.

    These tokens are for other stages, and are computed only where one uses them. The classifier does not: the
    server has the model's own tokenizer.

    Example:
        >>> Tokenizer().setInputCols(["document"]).setOutputCol("token").fit(documents)
    """

    def _fit(self, dataset: DataFrame) -> TokenizerModel:  # noqa: ARG002  # nothing is learnt
        return self._copyValues(TokenizerModel())


class TokenizerModel(_TokenizerParams, Model):
    """A `Tokenizer` after `fit`."""

    def rules(self) -> TokenRules:
        """The parameters as rules."""
        split_chars = [re.escape(one[-1]) for one in self._list_of("splitChars")]
        pattern = self.getOrDefault("splitPattern") if self.isDefined("splitPattern") else ""
        return TokenRules(
            context_chars="".join(self.getOrDefault("contextChars")),
            split_pattern=pattern or "|".join(split_chars),
            splits_at_ends=not pattern,
            exceptions=tuple(self._list_of("exceptions")),
            exceptions_have_case=self.getOrDefault("caseSensitiveExceptions"),
            min_length=self.getOrDefault("minLength"),
            max_length=self.getOrDefault("maxLength"),
        )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        inputs = inputs_by_type(dataset, self.getOrDefault("inputCols"), self.inputAnnotatorTypes, self.uid)
        documents = F.col(inputs[DOCUMENT])
        hidden = f"_{self.uid}"
        cut_dataset, pieces = cut_in_python(dataset, documents, _cutting(self.rules()), _TOKENS_TYPE, hidden)
        tokens = F.transform(pieces, lambda token: _token_annotation(documents, token))
        return with_annotations(cut_dataset, self.getOrDefault("outputCol"), tokens, TOKEN).drop(hidden)

    def annotated_rows(
        self,
        texts: Sequence[str],  # noqa: ARG002
        rows: Sequence[Mapping[str, list[Annotation]]],
    ) -> list[dict[str, list[Annotation]]]:
        """The rows with this stage's column, see `LightStage`."""
        rules = self.rules()
        return self.with_output(rows, [_tokens(rules, self.input_of(row, DOCUMENT)) for row in rows])


def _cutting(rules: TokenRules) -> Callable[[Sequence[str]], list[tuple[int, int, int, str]]]:
    return lambda texts: [
        (place, token.begin, token.end, token.text)
        for place, text in enumerate(texts)
        for token in rules.tokens(text)
    ]


def _token_annotation(documents: Column, token: Column) -> Column:
    document = F.get(documents, token["document"])
    number = sentence_number(document, token["document"])
    return annotation(
        TOKEN,
        document["begin"] + token["begin"],
        document["begin"] + token["end"],
        token["result"],
        F.create_map(F.lit(SENTENCE), number),
    )


def _tokens(rules: TokenRules, documents: Sequence[Annotation]) -> list[Annotation]:
    return [
        Annotation(
            TOKEN,
            document.begin + token.begin,
            document.begin + token.end,
            token.text,
            {SENTENCE: document.metadata.get(SENTENCE, str(place))},
        )
        for place, document in enumerate(documents)
        for token in rules.tokens(document.result)
    ]


def _require_characters(name: str, values: Sequence[str]) -> None:
    wrong = [value for value in values if len(value) != 1]
    if wrong:
        raise SettingError(f"{name}: expected single characters, found {wrong}")
