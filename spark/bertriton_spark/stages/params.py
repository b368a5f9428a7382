"""What all stages share: parameters with Spark NLP's setters and getters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable

from bertriton_spark.errors import ColumnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from bertriton_spark.annotations import Annotation

ValueT = TypeVar("ValueT")


def param(name: str, doc: str, converter: Callable[[Any], Any]) -> Param[Any]:
    """A parameter of a stage class; `set...` and `get...` of its name come by themselves."""
    return Param(Params._dummy(), name, doc, typeConverter=converter)  # noqa: SLF001  # pyspark's own way


def as_strings(values: Sequence[Any]) -> list[str]:
    """What a setter was given: strings one by one, or one list of them."""
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        return [str(value) for value in values[0]]
    return [str(value) for value in values]


@runtime_checkable
class LightStage(Protocol):
    """A stage that annotates texts without Spark."""

    def annotated_rows(
        self, texts: Sequence[str], rows: Sequence[Mapping[str, list[Annotation]]]
    ) -> list[dict[str, list[Annotation]]]:
        """The rows with this stage's column.

        Args:
            texts: what `LightPipeline` was given.
            rows: of each text what earlier stages have made, by column.
        """


class StageParams(Params, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Parameters of a stage: each `Param` of the class has a setter that returns the stage, and a getter."""

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if isinstance(value, Param):
                _add_accessors(cls, name, value.doc)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            """For type checkers: setters and getters are not in the source."""

    def with_values(self, **values: Any) -> Self:  # noqa: ANN401
        """The stage itself with parameters set by name."""
        return self._set(**values)


def _add_accessors(cls: type[StageParams], name: str, doc: str) -> None:
    def setter(self: StageParams, value: object) -> StageParams:
        self._set(**{name: value})
        return self

    def getter(self: StageParams) -> object:
        return self.getOrDefault(name)

    for verb, accessor in (("set", setter), ("get", getter)):
        accessor.__name__ = verb + name[0].upper() + name[1:]
        accessor.__doc__ = f"{verb.capitalize()} `{name}`: {doc}."
        if not hasattr(cls, accessor.__name__):
            setattr(cls, accessor.__name__, accessor)


class AnnotatorParams(StageParams):
    """Columns of a stage that makes annotations of annotations."""

    inputCols = param("inputCols", "annotation columns that are read", TypeConverters.toListString)
    outputCol = param("outputCol", "annotation column that is made", TypeConverters.toString)
    lazyAnnotator = param(
        "lazyAnnotator", "whether LightPipeline leaves the stage out", TypeConverters.toBoolean
    )

    inputAnnotatorTypes: ClassVar[tuple[str, ...]]
    outputAnnotatorType: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(lazyAnnotator=False)

    def setInputCols(self, *value: Any) -> Self:  # noqa: ANN401  # one list, or strings
        """Set the input columns, as strings or as one list; their order is free.

        Raises:
            ColumnError: there are more or fewer than the stage reads; also a TypeError.
        """
        columns = as_strings(value)
        if len(columns) != len(self.inputAnnotatorTypes):
            raise ColumnError(
                f"{self.uid}: expected {len(self.inputAnnotatorTypes)} input columns, of the kinds "
                f"{' and '.join(self.inputAnnotatorTypes)}, found {columns}"
            )
        return self._set(inputCols=columns)

    def input_of(self, row: Mapping[str, list[Annotation]], annotator_type: str) -> list[Annotation]:
        """What a row's input columns hold of one kind, without Spark."""
        columns: list[str] = self.getOrDefault("inputCols")
        missing = [name for name in columns if name not in row]
        if missing:
            raise ColumnError(f"{self.uid}: no earlier stage makes the column {', '.join(missing)}")
        return [one for name in columns for one in row[name] if one.annotatorType == annotator_type]

    def with_output(
        self, rows: Sequence[Mapping[str, list[Annotation]]], made: Sequence[list[Annotation]]
    ) -> list[dict[str, list[Annotation]]]:
        """Rows with this stage's column added, without Spark."""
        name: str = self.getOrDefault("outputCol")
        return [{**row, name: annotations} for row, annotations in zip(rows, made, strict=True)]
