"""`DocumentAssembler`: texts become documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyspark.ml import Transformer
from pyspark.ml.param import TypeConverters
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType

from bertriton_spark.annotations import DOCUMENT, SENTENCE, Annotation, utf16_length
from bertriton_spark.columns import annotation, with_annotations
from bertriton_spark.columns import utf16_length as utf16_length_of
from bertriton_spark.errors import ColumnError, SettingError
from bertriton_spark.stages.params import StageParams, param

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame
    from typing_extensions import Self

_DISABLED: Final = "disabled"
# Java's trim takes all control characters for white space.
_EDGES: Final = r"^[\x00-\x20]+|[\x00-\x20]+$"


@dataclass(frozen=True)
class _Cleanup:
    """What is replaced; patterns that Java and Python (in ASCII) read alike."""

    pattern: str
    replacement: str = " "
    trims: bool = False


# "full" modes also take line breaks and tabs that are written out, as a backslash and a letter.
_CLEANUPS: Final = {
    "inplace": _Cleanup(r"\s"),
    "inplace_full": _Cleanup(r"\s|(?:\\r)?\\n|\\t"),
    "shrink": _Cleanup(r"\s+", trims=True),
    "shrink_full": _Cleanup(r"\s+|(?:\\r)*(?:\\n)+|(?:\\t)+", trims=True),
    "each": _Cleanup(r"\s[\n\t]"),
    "each_full": _Cleanup(r"\s(?:[\n\t]|(?:\\r)?\\n|\\t)"),
    "delete_full": _Cleanup(r"(?:\\r)?\\n|\\t", replacement="", trims=True),
}


class DocumentAssembler(StageParams, Transformer):
    """Make documents of a column of texts, or of arrays of texts.

    A text that is null becomes an empty document.

    Example:
        >>> DocumentAssembler().setInputCol("text").setOutputCol("document").transform(reviews)
    """

    inputCol = param("inputCol", "column of texts", TypeConverters.toString)
    outputCol = param("outputCol", "annotation column that is made", TypeConverters.toString)
    idCol = param("idCol", "column of strings that documents carry as their id", TypeConverters.toString)
    metadataCol = param("metadataCol", "column of maps that documents carry", TypeConverters.toString)
    cleanupMode = param("cleanupMode", f"{_DISABLED}, {', '.join(_CLEANUPS)}", TypeConverters.toString)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(outputCol=DOCUMENT, cleanupMode=_DISABLED)

    def setCleanupMode(self, value: str) -> Self:
        """Set how white space is cleaned before anything else, "disabled" by default.

        Raises:
            SettingError: there is no such mode.
        """
        mode = value.strip().lower()
        if mode not in (_DISABLED, *_CLEANUPS):
            raise SettingError(f"cleanupMode: expected {_DISABLED}, {', '.join(_CLEANUPS)}, found {value!r}")
        return self._set(cleanupMode=mode)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        column: str = self.getOrDefault("inputCol")
        fields = {field.name: field.dataType for field in dataset.schema.fields}
        if column not in fields:
            raise ColumnError(f"{self.uid}: input column {column} is missing, found {', '.join(fields)}")
        if isinstance(fields[column], ArrayType):
            documents = F.transform(
                F.col(column),
                lambda text, place: self._document(text, _map_of(SENTENCE, place.cast("string"))),
            )
        else:
            documents = F.array(self._document(F.col(column), self._metadata()))
        return with_annotations(dataset, self.getOrDefault("outputCol"), documents, DOCUMENT)

    def _document(self, text: Column, metadata: Column) -> Column:
        cleaned = self._cleaned(F.coalesce(text, F.lit("")))
        return annotation(DOCUMENT, F.lit(0), utf16_length_of(cleaned) - 1, cleaned, metadata)

    def _metadata(self) -> Column:
        metadata = _map_of(SENTENCE, F.lit("0"))
        if self.isSet("idCol"):
            metadata = F.map_concat(_map_of("id", F.col(self.getOrDefault("idCol"))), metadata)
        if self.isSet("metadataCol"):
            own = ["id", SENTENCE] if self.isSet("idCol") else [SENTENCE]
            others = F.map_filter(F.col(self.getOrDefault("metadataCol")), lambda key, _: ~key.isin(own))
            metadata = F.map_concat(F.coalesce(others, F.create_map().cast("map<string,string>")), metadata)
        return metadata

    def _cleaned(self, text: Column) -> Column:
        cleanup = _CLEANUPS.get(self.getOrDefault("cleanupMode"))
        if cleanup is None:
            return text
        trimmed = F.regexp_replace(text, _EDGES, "") if cleanup.trims else text
        return F.regexp_replace(trimmed, cleanup.pattern, cleanup.replacement)

    def annotated_rows(
        self, texts: Sequence[str], rows: Sequence[Mapping[str, list[Annotation]]]
    ) -> list[dict[str, list[Annotation]]]:
        """The rows with this stage's column, see `LightStage`."""
        name: str = self.getOrDefault("outputCol")
        return [{**row, name: [self._light_document(text)]} for text, row in zip(texts, rows, strict=True)]

    def _light_document(self, text: str) -> Annotation:
        cleanup = _CLEANUPS.get(self.getOrDefault("cleanupMode"))
        if cleanup is not None:
            trimmed = re.sub(_EDGES, "", text) if cleanup.trims else text
            text = re.sub(cleanup.pattern, cleanup.replacement, trimmed, flags=re.ASCII)
        return Annotation(DOCUMENT, 0, utf16_length(text) - 1, text, {SENTENCE: "0"})


def _map_of(key: str, value: Any) -> Column:  # noqa: ANN401
    return F.create_map(F.lit(key), value)
