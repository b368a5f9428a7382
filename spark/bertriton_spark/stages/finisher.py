"""`Finisher`: annotations become plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer
from pyspark.ml.param import TypeConverters
from pyspark.sql import functions as F  # noqa: N812

from bertriton_spark.annotations import TYPE_KEY
from bertriton_spark.errors import ColumnError, SettingError
from bertriton_spark.stages.params import StageParams, as_strings, param

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame
    from typing_extensions import Self

    from bertriton_spark.annotations import Annotation


class Finisher(StageParams, Transformer):
    """Turn annotation columns into arrays of their results, or into strings.

    Example:
        >>> Finisher().setInputCols(["class"]).transform(classified).select("finished_class")
    """

    inputCols = param("inputCols", "annotation columns that are read", TypeConverters.toListString)
    outputCols = param("outputCols", "columns that are made", TypeConverters.toListString)
    valueSplitSymbol = param(
        "valueSplitSymbol", "between the values of an annotation", TypeConverters.toString
    )
    annotationSplitSymbol = param("annotationSplitSymbol", "between annotations", TypeConverters.toString)
    cleanAnnotations = param(
        "cleanAnnotations", "whether annotation columns are dropped", TypeConverters.toBoolean
    )
    includeMetadata = param("includeMetadata", "whether metadata is given, too", TypeConverters.toBoolean)
    outputAsArray = param("outputAsArray", "whether arrays are given, not strings", TypeConverters.toBoolean)

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            valueSplitSymbol="#",
            annotationSplitSymbol="@",
            cleanAnnotations=True,
            includeMetadata=False,
            outputAsArray=True,
        )

    def setInputCols(self, *value: Any) -> Self:  # noqa: ANN401  # one list, or strings
        """Set the annotation columns, as strings or as one list."""
        return self._set(inputCols=as_strings(value))

    def setOutputCols(self, *value: Any) -> Self:  # noqa: ANN401  # one list, or strings
        """Set the columns that are made; by default the inputs' names after `finished_`."""
        return self._set(outputCols=as_strings(value))

    def getOutputCols(self) -> list[str]:
        """The columns that are made.

        Raises:
            SettingError: there are more or fewer than input columns.
        """
        inputs: list[str] = self.getOrDefault("inputCols")
        if not self.isSet("outputCols"):
            return [f"finished_{name}" for name in inputs]
        outputs: list[str] = self.getOrDefault("outputCols")
        if len(outputs) != len(inputs):
            raise SettingError(f"{self.uid}: expected an output column for each of {inputs}, found {outputs}")
        return outputs

    def _transform(self, dataset: DataFrame) -> DataFrame:
        fields = {field.name: field for field in dataset.schema.fields}
        finished = dataset
        pairs = list(zip(self.getOrDefault("inputCols"), self.getOutputCols(), strict=True))
        for name, output in pairs:
            if name not in fields or TYPE_KEY not in fields[name].metadata:
                found = ", ".join(one for one, field in fields.items() if TYPE_KEY in field.metadata)
                raise ColumnError(f"{self.uid}: {name} is not an annotation column, found {found or 'none'}")
            finished = finished.withColumn(output, self._finished(F.col(name)))
        if self.getOrDefault("includeMetadata") and self.getOrDefault("outputAsArray"):
            for name, output in pairs:
                finished = finished.withColumn(f"{output}_metadata", _metadata(F.col(name)))
        if self.getOrDefault("cleanAnnotations"):
            finished = finished.drop(*(one for one, field in fields.items() if TYPE_KEY in field.metadata))
        return finished

    def _finished(self, annotations: Column) -> Column:
        if self.getOrDefault("outputAsArray"):
            return F.transform(annotations, lambda one: one["result"])
        values = F.transform(annotations, self._written)
        return F.array_join(values, self.getOrDefault("annotationSplitSymbol"))

    def _written(self, one: Column) -> Column:
        """An annotation in one string: its result alone, or with each of its metadata's keys and values."""
        if not self.getOrDefault("includeMetadata"):
            return one["result"]
        pairs = F.transform(
            F.map_entries(one["metadata"]), lambda entry: F.concat_ws("->", entry["key"], entry["value"])
        )
        result = F.concat(F.lit("result->"), one["result"])
        return F.array_join(F.concat(pairs, F.array(result)), self.getOrDefault("valueSplitSymbol"))

    def annotated_rows(
        self,
        texts: Sequence[str],  # noqa: ARG002
        rows: Sequence[Mapping[str, list[Annotation]]],
    ) -> list[dict[str, list[Annotation]]]:
        """Of each row the columns that this stage reads, as Spark NLP's LightPipeline has it."""
        names: list[str] = self.getOrDefault("inputCols")
        return [{name: row[name] for name in names if name in row} for row in rows]


def _metadata(annotations: Column) -> Column:
    """The metadata of all annotations in one map; of a key that several have, the last one's value."""

    def joined(earlier: Column, one: Column) -> Column:
        replaced = F.map_keys(one["metadata"])
        kept = F.map_filter(earlier, lambda key, _: ~F.array_contains(replaced, key))
        return F.map_concat(kept, one["metadata"])

    return F.aggregate(annotations, F.create_map().cast("map<string,string>"), joined)
