"""What tests of files share: a client, one that must not send, and what a job reads and writes without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bertriton import Client
from bertriton._files import opened
from bertriton._files.formats import Kind, writer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bertriton_server import LocalServer


@pytest.fixture(scope="module")
def client(imdb_server: LocalServer) -> Iterator[Client]:
    with Client(imdb_server.grpc_url) as client:
        yield client


@pytest.fixture
def sends_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that fails the test when a text is sent."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a text was sent")

    monkeypatch.setattr(client, "classify_iter", refuse)
    return client


@pytest.fixture
def copied() -> Callable[[Path, Path], Path]:
    """What a job writes of all rows, with a column of answers, but without asking for any."""
    return _copied


def _copied(source: Path, output: Path) -> Path:
    reader, writer = opened(source), writer_for(output)
    (rows,) = reader.chunks(10, 0)
    if isinstance(rows, list) or writer.checks_typed:
        writer.check(rows, 1)
    writer.begin(reader.columns, reader.schema, {"error": Kind.WORD})
    part = output.with_suffix(".part")
    writer.write_part(part, rows, {"error": [None] * len(rows)})
    writer.join([part], output)
    reader.close()
    return output
