"""`LightPipeline`: a fitted pipeline without Spark, for few texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from pyspark.ml import PipelineModel

from bertriton_spark.errors import SettingError
from bertriton_spark.stages import LightStage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from typing_extensions import Self

    from bertriton_spark.annotations import Annotation


class LightPipeline:
    """A fitted pipeline that annotates texts in this process, without a Spark job.

    Args:
        pipelineModel: with stages of this package. With others `annotate` raises an error, unless
            `setIgnoreUnsupported(True)` is called.
        parse_embeddings: False, as no stage here makes embeddings.

    Raises:
        SettingError: embeddings are asked for.

    Example:
        >>> LightPipeline(pipeline.fit(reviews)).annotate("What a lovely film.")["class"]
        ['pos']
    """

    def __init__(self, pipelineModel: PipelineModel, parse_embeddings: bool = False) -> None:  # noqa: FBT001, FBT002
        if parse_embeddings:
            raise SettingError(
                "parse_embeddings: expected False, as no stage here makes embeddings, found True"
            )
        self.pipeline_model = pipelineModel
        self._ignores_unsupported = False

    @overload
    def annotate(self, target: str) -> dict[str, list[str]]: ...
    @overload
    def annotate(self, target: list[str]) -> list[dict[str, list[str]]]: ...
    def annotate(self, target: str | list[str]) -> Any:
        """The results by column: a dictionary for a text, a list of them for a list."""
        rows = [
            {name: [one.result for one in annotations] for name, annotations in row.items()}
            for row in self.fullAnnotate(target)
        ]
        return rows[0] if isinstance(target, str) else rows

    def fullAnnotate(self, target: str | list[str]) -> list[dict[str, list[Annotation]]]:
        """The annotations by column: a list of dictionaries, also for one text.

        Raises:
            BertritonError: a text could not be answered.
            SettingError: a stage is none of this package, or the target no text and no list of texts.
        """
        texts = [target] if isinstance(target, str) else target
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            raise SettingError(
                "target: expected a text or a list of texts; data frames are for transform(), "
                f"found {target!r:.80}"
            )
        rows: list[dict[str, list[Annotation]]] = [{} for _ in texts]
        for stage in _stages_of(self.pipeline_model):
            if isinstance(stage, LightStage):
                if not _is_left_out(stage):
                    rows = stage.annotated_rows(texts, rows)
            elif not self._ignores_unsupported:
                raise SettingError(
                    f"{stage.uid} cannot annotate without Spark: "
                    "call setIgnoreUnsupported(True) to pass over it"
                )
        return rows

    def transform(self, dataframe: DataFrame) -> DataFrame:
        """What the pipeline makes of a data frame, with Spark."""
        return self.pipeline_model.transform(dataframe)

    def setIgnoreUnsupported(self, value: bool) -> Self:  # noqa: FBT001  # Spark NLP's signature
        """Set whether stages of other packages are passed over."""
        self._ignores_unsupported = value
        return self

    def getIgnoreUnsupported(self) -> bool:
        """Whether stages of other packages are passed over."""
        return self._ignores_unsupported


def _stages_of(model: PipelineModel) -> list[Any]:
    return [
        inner
        for stage in model.stages
        for inner in (_stages_of(stage) if isinstance(stage, PipelineModel) else [stage])
    ]


def _is_left_out(stage: Any) -> bool:  # noqa: ANN401
    return bool(stage.hasParam("lazyAnnotator") and stage.getOrDefault("lazyAnnotator"))
