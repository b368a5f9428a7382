"""A Spark data frame classified where it lies, with one client for each of Spark's Python workers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from bertriton_nlu.errors import LocalServerError
from bertriton_nlu.frames import classified_frame, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bertriton import ClassifierInfo, Client
    from bertriton_nlu.frames import Shape
    from bertriton_nlu.references import Server


def is_spark_frame(data: object) -> bool:
    """Whether it is a data frame of Spark, told without an import of it."""
    return type(data).__module__.partition(".")[0] == "pyspark" and hasattr(data, "mapInPandas")


def require_reach(data: Any) -> None:  # noqa: ANN401  # Spark need not be installed
    """See that Spark's workers are on this machine.

    Raises:
        LocalServerError: they are not, and a server of this process listens to this machine alone.
    """
    master = data.sparkSession.conf.get("spark.master", "")
    if not master.startswith("local"):
        raise LocalServerError(
            f"the workers of {master} cannot reach a server of this process: set BERTRITON_URL to one"
        )


def classified_spark_frame(
    data: Any,  # noqa: ANN401
    column: str,
    shape: Shape,
    info: ClassifierInfo,
    server: Server,
) -> Any:  # noqa: ANN401
    """As `classified_frame`, of a Spark data frame, and computed when Spark asks for it."""
    kept = shape.kept(data.columns)
    types = {field.name: field.dataType.simpleString() for field in data.schema if field.name in kept}
    types |= columns_of(shape, info)
    schema = ", ".join(f"`{name}` {types[name]}" for name in sorted(types))
    return data.mapInPandas(_task(column, shape, info, server), schema)


def _task(
    column: str, shape: Shape, info: ClassifierInfo, server: Server
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def classified(batches: Iterator[Any]) -> Iterator[Any]:
        client = _client(server)
        for batch in batches:
            yield classified_frame(batch, column, shape, info, client.classify)

    return classified


@cache
def _client(server: Server) -> Client:
    """The client of this worker, which lives as long as the worker."""
    return server.client()
