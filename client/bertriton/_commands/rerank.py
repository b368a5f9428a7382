"""`bertriton rerank`: documents sorted by how well they answer a query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bertriton import RequestLimits
from bertriton._commands.options import (
    connected,
    connection_options,
    option,
    reading_options,
    request_options,
)
from bertriton._commands.standard_input import standard_input_lines
from bertriton._commands.standard_output import require_standard_output
from bertriton._commands.waiting import patience

if TYPE_CHECKING:
    from bertriton import RankedDocument


@click.command(name="rerank")
@click.argument("query")
@click.argument("documents", metavar="[DOCUMENT]...", nargs=-1)
@option("--top-k", type=click.IntRange(min=1), help="Documents to print, best first [default: all].")
@option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@reading_options
@option("--rows", type=click.IntRange(min=1), help="Texts per request [default: the server's limit].")
@connection_options
def rerank_command(
    query: str,
    documents: tuple[str, ...],
    *,
    top_k: int | None,
    as_json: bool,
    rows: int | None,
    **others: Any,  # noqa: ANN401  # how texts are read, and the connection
) -> None:
    """Sort each DOCUMENT, or each line of standard input, by how well it answers QUERY, best first.

    The model must be a reranker: one logit for a pair of texts. The sigmoid of the logit is printed.
    """
    require_standard_output()
    options = request_options(others)
    with connected(limits=RequestLimits(rows=rows), **others) as client:
        found = documents or tuple(standard_input_lines("DOCUMENT"))
        with patience(f"{len(found):,} documents to be read") as wait:
            options["progress"] = lambda done: wait.say(f"{done:,} of {len(found):,} documents read")
            ranked = client.rerank(query, found, top_k=top_k, **options)
        for document in ranked:
            click.echo(json.dumps(document.to_dict(), ensure_ascii=False) if as_json else _line(document))


def _line(found: RankedDocument) -> str:
    return f"{click.style(f'{found.score:.4f}', bold=True)}  {' '.join(found.document.split())}"
