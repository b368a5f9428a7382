"""Rows of a partition, answered as one stream: requests are under way across rows and batches."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator  # noqa: TC003  # Spark reads the hints of the function it runs
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from pyspark.sql.types import (
    ArrayType,
    FloatType,
    IntegerType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from bertriton import BertritonError, ModelNotReadyError
from bertriton._clients import Unpaused
from bertriton_spark.execution.clients import client_of, connection_of
from bertriton_spark.execution.scoring import ScoredSentence, annotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bertriton import CallOptions, Classification, Client
    from bertriton_spark.execution.plan import Plan, Reading

# What a worker gives Spark for each row.
SCORED_TYPE: Final = StructType(
    [
        StructField(
            "answers",
            ArrayType(
                StructType(
                    [
                        StructField("sentence", IntegerType()),
                        StructField("result", StringType()),
                        StructField("scores", MapType(StringType(), FloatType())),
                    ]
                )
            ),
        ),
        StructField("error", StringType()),
    ]
)
_ROWS_PER_FRAME: Final = (
    256  # given back at once, whatever came at once: Spark's page counts them as they come
)

# White space of Java's \s, and the sign by which Spark NLP marks it: a sentence of that alone has no token.
_has_token: Final = re.compile("[^ \t\n\x0b\f\r\u2187]").search


def scoring_function(plan: Plan) -> Callable[[Iterator[pd.Series]], Iterator[pd.DataFrame]]:
    """What Spark's workers run: batches of rows, each a list of sentences, to frames of `SCORED_TYPE`.

    Its name is the plan's title, which Spark's SQL page shows beside the number of rows that are through.
    """

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        first = next(batches, None)
        if first is None:  # nobody needs a server
            return
        rows = (list(row) if row is not None else [] for batch in chain([first], batches) for row in batch)
        scored = scored_rows(rows, plan)
        while some := list(islice(scored, _ROWS_PER_FRAME)):
            yield pd.DataFrame(some, columns=SCORED_TYPE.names)

    score.__name__ = score.__qualname__ = plan.title
    return score


def scored_rows(
    rows: Iterable[Sequence[str]], plan: Plan
) -> Iterator[tuple[list[dict[str, Any]], str | None]]:
    """For each row its annotations, and the error in place of them where the plan keeps errors.

    Rows are read only as far ahead as requests under way can hold.

    Raises:
        BertritonError: a sentence could not be answered, unless the plan keeps errors.
        LocalServerError: the host's own server did not start.
    """
    client = client_of(connection_of(plan))
    answered = partial(_answers, client, plan.reading, keep_errors=plan.keep_errors)
    for outcomes in by_row(rows, answered):
        yield _said(outcomes, plan)


def _said(
    outcomes: Sequence[Classification | BertritonError | None], plan: Plan
) -> tuple[list[dict[str, Any]], str | None]:
    error = next((one for one in outcomes if isinstance(one, BertritonError)), None)
    answers = [one for one in outcomes if not isinstance(one, BertritonError)]
    try:
        if error is None:
            return list(map(_as_dict, annotated(answers, plan.scoring))), None
    except ModelNotReadyError as mixed:
        if not plan.keep_errors:
            raise
        error = mixed
    return [], f"{type(error).__name__}: {error}"


def by_row(
    rows: Iterable[Sequence[str]],
    answered: Callable[[Iterator[str]], Iterator[Classification | BertritonError]],
) -> Iterator[list[Classification | BertritonError | None]]:
    """The outcomes of one stream of sentences, row by row.

    A sentence without a token is not sent; its outcome is None.
    """
    pending: deque[list[bool]] = deque()  # of rows read and not answered: which sentences are sent
    outcomes: deque[Classification | BertritonError] = deque()

    def sentences() -> Iterator[str]:
        for row in rows:
            pending.append([bool(_has_token(sentence)) for sentence in row])
            yield from filter(_has_token, row)

    def whole_rows() -> Iterator[list[Classification | BertritonError | None]]:
        while pending and sum(pending[0]) <= len(outcomes):
            yield [outcomes.popleft() if is_sent else None for is_sent in pending.popleft()]

    for outcome in answered(sentences()):
        outcomes.append(outcome)
        yield from whole_rows()
    yield from whole_rows()


def _answers(
    client: Client, reading: Reading, sentences: Iterator[str], *, keep_errors: bool
) -> Iterator[Classification | BertritonError]:
    options: CallOptions = {}
    if reading.max_length is not None:
        # Spark NLP's default is more than some models have positions for.
        options["max_length"] = min(reading.max_length, client.info.max_length)
    if reading.truncation is not None:
        options["truncation"] = reading.truncation  # type: ignore[typeddict-item]  # the client checks it
    # Spark gives a batch as soon as it has one, and a thread that reads ahead would cost more than it gains.
    return client.classify_iter(Unpaused(sentences), return_exceptions=keep_errors, **options)


def _as_dict(scored: ScoredSentence) -> dict[str, Any]:
    return {"sentence": scored.sentence, "result": scored.result, "scores": scored.scores}
