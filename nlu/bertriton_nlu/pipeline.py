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
    """Load the classifier that an NLU reference names. Nothing is downloaded.

    Args:
        request: an NLU reference. `en.classify.bert_sequence.imdb` means the classifier `imdb`, unless
            BERTRITON_MODEL or the table that BERTRITON_SPARK_MODELS names says otherwise.
        path: a model repository, or a checkpoint as `bertriton export` reads it, to serve from this process.
        verbose: has no effect; the server has its own log.
        gpu: has no effect; the server decides whether it uses a GPU.
        url: `host:port` of Triton's gRPC endpoint, by default BERTRITON_URL. Credentials come from the
            variables of the command line. Without a URL, a server starts at the first prediction and stops
            with the process.

    Raises:
        UnknownModelError: neither a server nor a model to serve is known.
        SettingError: the table cannot be read.

    Example:
        >>> load("en.classify.bert_sequence.imdb").predict("I liked it!").classified_sequence.item()
        'pos'
    """
    return Pipeline(target_of(request, path, url))


class Pipeline:
    """A classifier with the methods of NLU's pipelines.

    Args:
        target: a server, or a model that this process serves.
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
        """Classify texts and return a pandas frame, with its columns in alphabetical order.

        Args:
            data: a text, or a list, Series, array, pandas frame or Spark frame of texts. In a frame, the
                texts are the column `text`, or the first column if there is none. None and NaN are empty
                texts.
            output_level: "document" or "sentence", one row for each; "" is "document". NLU's own default is
                "sentence".
            positions: whether to add where the text begins and ends, both inclusive, in UTF-16 units as in
                Spark NLP.
            keep_stranger_features: whether to keep the other columns of a frame.
            metadata: whether to add the score of each label and the number of the sentence.
            drop_irrelevant_cols: whether to leave out the document if the rows are sentences.
            return_spark_df: whether to return a Spark frame for a Spark frame. Spark computes it when needed.
            multithread: has no effect; requests run in parallel anyway.
            get_embeddings: has no effect; a classifier has no embeddings.
            partition: has no effect; Spark's partitions stay as they are.

        Returns:
            A frame with `classified_sequence`, the label (a list for a multi-label model),
            `classified_sequence_confidence`, its probability from 0 to 1, and `document` or `sentence`. Its
            index is that of the data.

        Raises:
            DataError: the data is of an unsupported type, or a row is not a text, or names of columns are
                no texts or stand twice.
            ModelNotReadyError: the model was replaced meanwhile, or replicas differ; no frame mixes models.
            SettingError: the output level is unknown, or a Spark frame is wanted for other data.
            LocalServerError: the server of this process did not start.
            BertritonError: the server did not answer.
        """
        shape = Shape(
            output_level or DOCUMENT, positions, metadata, keep_stranger_features, drop_irrelevant_cols
        )
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
    _require_plain_names(columns, [column, *shape.kept(columns)])
    taken = sorted(name for name in shape.kept(columns) if name in ADDED or str(name).startswith(LABEL))
    if taken:
        raise DataError(f"data: its columns {', '.join(taken)} are names of answers: rename or drop them")
    return column


def _require_plain_names(columns: list[Any], used: list[Any]) -> None:
    """See that each column that is read or kept can be told from the others, and sorted among them."""
    for name in used:
        if columns.count(name) > 1:
            raise DataError(
                f"data: expected columns of distinct names, found {name!r} twice: rename or drop one"
            )
        if len(used) > 1 and not isinstance(name, str):
            raise DataError(
                f"data: expected texts as names of its columns, found {type(name).__name__} {name!r}: "
                "rename it, or pass keep_stranger_features=False"
            )


def _described(client: Client) -> ClassifierInfo:
    info = client.info
    if info.problem_type == REGRESSION:
        raise UnsupportedModelError(
            f"{info.name} is a regression: it has no labels, ask bertriton.Client", model=info.name
        )
    return info
