"""`load(...).predict(...)`: data of any kind in, a frame of answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from bertriton.contract import REGRESSION
from bertriton_nlu.errors import DataError, SettingError, UnsupportedModelError
from bertriton_nlu.frames import DOCUMENT, LABEL, SENTENCE, Shape, classified_frame
from bertriton_nlu.local import local_server
from bertriton_nlu.references import LocalModel, target_of
from bertriton_nlu.spark_frames import classified_spark_frame, is_spark_frame, require_reach

if TYPE_CHECKING:
    from bertriton import ClassifierInfo, Client
    from bertriton_nlu.references import Server

TEXT: Final = "text"  # the column of texts, if there is one of that name

ADDED: Final = (DOCUMENT, SENTENCE)  # beside the names that begin as the label's does


def load(
    request: str = "",
    path: str | None = None,
    *,
    verbose: bool = False,  # noqa: ARG001  # NLU's, as the next
    gpu: bool = False,  # noqa: ARG001
    url: str | None = None,
) -> Pipeline:
    """The classifier that a reference of NLU stands for; nothing is downloaded.

    Args:
        request: as NLU has it. `en.classify.bert_sequence.imdb` is the classifier `imdb`, unless the table
            that BERTRITON_SPARK_MODELS names, or BERTRITON_MODEL, says otherwise.
        path: a model repository, or a checkpoint as `bertriton export` reads it, to serve in this process.
        verbose: changes nothing; a server has a log.
        gpu: changes nothing; the server has the GPU.
        url: `host:port` of Triton's gRPC endpoint; left out, BERTRITON_URL, and the variables of the command
            line say how to get in. Without either a server starts with the first prediction, and ends with
            the process.

    Raises:
        UnknownModelError: there is neither a server nor a model to serve.
        SettingError: the table cannot be read.

    Example:
        >>> load("en.classify.bert_sequence.imdb").predict("I liked it!").classified_sequence.item()
        'pos'
    """
    return Pipeline(target_of(request, path, url))


class Pipeline:
    """A classifier under the methods of NLU's pipelines.

    Args:
        target: the server that is asked, or the model that this process serves itself.
    """

    def __init__(self, target: Server | LocalModel) -> None:
        self._target = target

    def __repr__(self) -> str:
        return f"Pipeline({self._target})"

    def predict(
        self,
        data: Any,  # noqa: ANN401  # one of six kinds
        output_level: str = DOCUMENT,
        *,
        positions: bool = False,
        keep_stranger_features: bool = True,
        metadata: bool = False,
        drop_irrelevant_cols: bool = True,
        return_spark_df: bool = False,
        multithread: bool = True,  # noqa: ARG002  # NLU's, as the next two
        get_embeddings: bool = True,  # noqa: ARG002
        partition: int = 1000,  # noqa: ARG002
    ) -> Any:  # noqa: ANN401
        """A pandas frame of what the classifier says of each text, its columns in alphabetical order.

        Args:
            data: a text, or a list, Series, array, pandas or Spark frame of texts. Of a frame the column
                `text` is read, else the first. None and NaN are empty texts.
            output_level: a row for each "document", or "sentence"; NLU's own default is the latter.
            positions: add where the text begins and ends, inclusive, in UTF-16 units as in Spark NLP.
            keep_stranger_features: keep the columns of a frame that has several.
            metadata: add each label's score, and the sentence's number.
            drop_irrelevant_cols: leave the document out where sentences are asked for.
            return_spark_df: give a Spark frame for a Spark frame; it is computed when Spark asks for it.
            multithread: changes nothing, as requests are under way side by side in any case.
            get_embeddings: changes nothing, as a classifier has none.
            partition: changes nothing, as Spark's partitions stay as they are.

        Returns:
            `classified_sequence`, the label (of a multi-label model a list),
            `classified_sequence_confidence`, its probability from 0 to 1, and `document` or `sentence`. The
            index is that of the data.

        Raises:
            DataError: the data is of another kind, or a row is no text.
            SettingError: the output level is neither; a Spark frame is asked for other data.
            LocalServerError: the server of this process did not start.
            BertritonError: there is no answer.
        """
        shape = Shape(output_level, positions, metadata, keep_stranger_features, drop_irrelevant_cols)
        if is_spark_frame(data):
            found = self._on_spark(data, shape)
            return found if return_spark_df else found.toPandas()
        if return_spark_df:
            raise SettingError(
                "return_spark_df: expected a Spark data frame as data, or spark.createDataFrame(answers)"
            )
        frame = _frame_of(data)
        with self._server().client() as client:
            return classified_frame(
                frame, _text_column(frame, shape), shape, _described(client), client.classify
            )

    def _on_spark(self, data: Any, shape: Shape) -> Any:  # noqa: ANN401
        if isinstance(self._target, LocalModel):
            require_reach(data)
        server = self._server()
        with server.client() as client:
            info = _described(client)
        return classified_spark_frame(data, _text_column(data, shape), shape, info, server)

    def _server(self) -> Server:
        return local_server(self._target) if isinstance(self._target, LocalModel) else self._target


def _frame_of(data: Any) -> Any:  # noqa: ANN401
    """The data as a pandas frame."""
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, str):
        return pd.DataFrame({TEXT: [data]})
    if isinstance(data, pd.Series):
        return data.to_frame(TEXT)
    if isinstance(data, np.ndarray) and data.ndim == 1:
        data = data.tolist()
    if isinstance(data, (list, tuple)):
        return pd.DataFrame({TEXT: pd.Series(list(data), dtype=object)})
    raise DataError(
        "data: expected a text, or a list, Series, one-dimensional array, pandas or Spark frame of texts, "
        f"found {type(data).__name__}"
    )


def _text_column(frame: Any, shape: Shape) -> str:  # noqa: ANN401
    """The column of texts, of a frame whose other columns leave the names free that are added."""
    columns = list(frame.columns)
    if not columns:
        raise DataError("data: expected a column of texts, found a frame without columns")
    column: str = TEXT if TEXT in columns else columns[0]
    taken = sorted(name for name in shape.kept(columns) if name in ADDED or str(name).startswith(LABEL))
    if taken:
        raise DataError(f"data: its columns {', '.join(taken)} are names of answers: rename or drop them")
    return column


def _described(client: Client) -> ClassifierInfo:
    info = client.info
    if info.problem_type == REGRESSION:
        raise UnsupportedModelError(
            f"{info.name} is a regression: it has no labels, ask bertriton.Client", model=info.name
        )
    return info
