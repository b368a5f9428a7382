"""Spark NLP's annotations: their schema, their Python class, and how Java writes their numbers.

The schema is that of `com.johnsnowlabs.nlp.Annotation.dataType`, whose columns say their `annotatorType` in
their metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pyspark.sql.types import (
    ArrayType,
    FloatType,
    IntegerType,
    MapType,
    StringType,
    StructField,
    StructType,
)

DOCUMENT: Final = "document"
TOKEN: Final = "token"
CATEGORY: Final = "category"
TYPE_KEY: Final = "annotatorType"  # of a column's metadata
SENTENCE: Final = "sentence"  # of an annotation's metadata: the number of its sentence

ANNOTATION_TYPE: Final = StructType(
    [
        StructField("annotatorType", StringType()),
        StructField("begin", IntegerType(), nullable=False),
        StructField("end", IntegerType(), nullable=False),
        StructField("result", StringType()),
        StructField("metadata", MapType(StringType(), StringType())),
        StructField("embeddings", ArrayType(FloatType(), containsNull=False)),
    ]
)
ANNOTATIONS_TYPE: Final = ArrayType(ANNOTATION_TYPE)

# Where Float.toString of Java changes to an exponent.
_PLAIN_FROM: Final = 1e-3
_PLAIN_BELOW: Final = 1e7
_LAST_OF_ONE_UNIT: Final = "\uffff"  # the last character that is one UTF-16 unit


@dataclass(frozen=True)
class Annotation:
    """One annotation, under Spark NLP's names.

    Example:
        >>> Annotation("category", 0, 6, "pos", {"sentence": "0", "pos": "0.98"}).result
        'pos'
    """

    annotatorType: str  # "document", "token" or "category"
    begin: int  # of the text, in UTF-16 units
    end: int  # of its last unit
    result: str  # the text, the token or the label
    metadata: dict[str, str] = field(default_factory=dict)  # scores by label, and the sentence's number
    embeddings: list[float] = field(default_factory=list)  # always empty

    @staticmethod
    def dataType() -> StructType:
        """The type of one annotation in a column."""
        return ANNOTATION_TYPE

    @staticmethod
    def arrayType() -> ArrayType:
        """The type of an annotation column."""
        return ANNOTATIONS_TYPE


def java_float(value: float) -> str:
    """A 32-bit float as `Float.toString` of Java 19 and later writes it.

    Earlier Javas write some floats with a digit more than is needed (JDK-4511638), by which a data frame's
    scores, which Spark writes itself, can differ from these.

    Example:
        >>> java_float(0.98), java_float(8.706827e-05), java_float(1.0)
        ('0.98', '8.706827E-5', '1.0')
    """
    number = np.float32(value)
    if np.isnan(number):
        return "NaN"
    if np.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0 or _PLAIN_FROM <= abs(number) < _PLAIN_BELOW:
        return np.format_float_positional(number, unique=True, trim="0")
    written = np.format_float_scientific(number, unique=True, trim="0", exp_digits=1)
    return written.replace("e+", "E").replace("e", "E")


def utf16_length(text: str) -> int:
    """The length that Java gives a text.

    Example:
        >>> utf16_length("a😀")
        3
    """
    return len(text) + sum(character > _LAST_OF_ONE_UNIT for character in text)


class Utf16Offsets:
    """Where the characters of a text stand when they are counted as Java counts them."""

    def __init__(self, text: str) -> None:
        self._wide = [place for place, character in enumerate(text) if character > _LAST_OF_ONE_UNIT]

    def at(self, place: int) -> int:
        """The offset in UTF-16 units of the character at a place; the text's length is a place, too."""
        return place + sum(wide < place for wide in self._wide)
