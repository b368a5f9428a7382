"""Annotation columns as Spark itself computes them, and what a data frame says of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark.sql import functions as F  # noqa: N812  # as everybody has it
from pyspark.sql.pandas.functions import pandas_udf

from bertriton_spark.annotations import (
    ANNOTATION_TYPE,
    ANNOTATIONS_TYPE,
    CATEGORY,
    SENTENCE,
    TYPE_KEY,
)
from bertriton_spark.errors import ColumnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType


def with_annotations(dataset: DataFrame, name: str, annotations: Column, annotator_type: str) -> DataFrame:
    """The data frame with an annotation column whose type and metadata are Spark NLP's."""
    # Spark NLP's columns may all be null, which Spark knows of no array that it makes itself. Of a literal
    # `true` it would know that this one is never null.
    nullable = F.when(F.lit(1) == 1, annotations.cast(ANNOTATIONS_TYPE))
    # Spark Connect leaves the metadata of an alias out here.
    return dataset.withColumn(name, nullable).withMetadata(name, {TYPE_KEY: annotator_type})


def pandas_function(function: Callable[..., Any], result: StructType) -> Any:  # noqa: ANN401
    """A function of pandas series, or of iterators of them, for columns; its hints say which it is."""
    # The types that pyspark gives to `pandas_udf` know no structs of arrays.
    return pandas_udf(function, result)  # type: ignore[call-overload]


def cut_in_python(
    dataset: DataFrame,
    documents: Column,
    cut: Callable[[Sequence[str]], Sequence[tuple[Any, ...]]],
    pieces: StructType,
    hidden: str,
) -> tuple[DataFrame, Column]:
    """What a function finds in the texts of each row's documents.

    Args:
        dataset: the rows.
        documents: their column of annotations; null is none.
        cut: of a row's texts the pieces, a value for each field. Workers get it, so it holds no stage.
        pieces: the fields, each an array of one entry a piece.
        hidden: name of a column to add, for the caller to drop.

    Returns:
        The rows with that column, and a column of arrays of structs with those fields.
    """
    cutting = pandas_function(_rows_of_lists(cut, pieces.names), pieces)
    texts = F.transform(documents, lambda one: one["result"])
    zipped = F.arrays_zip(*(F.col(hidden)[name].alias(name) for name in pieces.names))
    return dataset.withColumn(hidden, cutting(texts)), zipped


def _rows_of_lists(
    cut: Callable[[Sequence[str]], Sequence[tuple[Any, ...]]], names: Sequence[str]
) -> Callable[[pd.Series], pd.DataFrame]:
    def found(rows: pd.Series) -> pd.DataFrame:
        cuts = [cut(texts if texts is not None else []) for texts in rows]
        columns = {
            name: [[piece[place] for piece in row] for row in cuts] for place, name in enumerate(names)
        }
        return pd.DataFrame(columns, columns=list(names))

    return found


def annotation(annotator_type: str, begin: Column, end: Column, result: Column, metadata: Column) -> Column:
    """One annotation; begin and end are taken for 0 where they are null."""
    values = (
        F.lit(annotator_type),
        F.coalesce(begin.cast("int"), F.lit(0)),
        F.coalesce(end.cast("int"), F.lit(0)),
        result,
        metadata,
        F.array_repeat(F.lit(0.0).cast("float"), 0),  # empty, and known to hold no null
    )
    return F.struct(*(value.alias(name) for value, name in zip(values, ANNOTATION_TYPE.names, strict=True)))


def utf16_length(text: Column) -> Column:
    """The length that Java gives a text: Spark's own `length` counts an emoji once."""
    return F.shiftright(F.octet_length(F.encode(text, "UTF-16BE")), 1)


def sentence_number(one: Column, place: Column) -> Column:
    """The number of a document's sentence: what its metadata says, else its place."""
    return F.coalesce(F.try_element_at(one["metadata"], F.lit(SENTENCE)), place.cast("string"))


def category_annotations(scored: Column, documents: Column) -> Column:
    """What workers gave back, as annotations of the documents that it is about."""

    def one(answer: Column) -> Column:
        source = F.get(documents, answer["sentence"])
        # Written by this JVM, so that digits are those that Spark NLP would write in it.
        scores = F.transform_values(answer["scores"], lambda _, score: score.cast("string"))
        number = sentence_number(source, answer["sentence"])
        return annotation(
            CATEGORY, source["begin"], source["end"], answer["result"], _with_sentence(number, scores)
        )

    return F.transform(scored, one)


def _with_sentence(number: Column, scores: Column) -> Column:
    # A label of this very name takes its place, as it does in Scala's maps.
    return F.when(F.map_contains_key(scores, SENTENCE), scores).otherwise(
        F.map_concat(F.create_map(F.lit(SENTENCE), number), scores)
    )


def inputs_by_type(
    dataset: DataFrame, columns: Sequence[str], expected: Sequence[str], who: str
) -> dict[str, str]:
    """The input columns by the kind of their annotations; their order is free, as in Spark NLP.

    Raises:
        ColumnError: a column is missing, or the kinds are not those expected.
    """
    by_name = {field.name: field for field in dataset.schema.fields}
    missing = [name for name in columns if name not in by_name]
    if missing:
        raise ColumnError(
            f"{who}: input column {', '.join(missing)} is missing, found {', '.join(by_name)}: "
            "put the stage that makes it before this one"
        )
    kinds = {str(by_name[name].metadata.get(TYPE_KEY)): name for name in columns}
    if sorted(kinds) != sorted(expected):
        found = ", ".join(f"{name} ({by_name[name].metadata.get(TYPE_KEY)})" for name in columns)
        raise ColumnError(
            f"{who}: expected input columns of the kinds {' and '.join(expected)}, found {found}"
        )
    return kinds
