"""A checkpoint served for as long as it is evaluated."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bertriton_evaluate.errors import ServingError
from bertriton_export import ExportError, export
from bertriton_server import LocalServer, ServerConfig, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def served_checkpoint(
    checkpoint: str, precision: str | None = None, on_stage: Callable[[str], object] = str
) -> Iterator[LocalServer]:
    """A server of the checkpoint alone, exported into a folder that is removed in the end.

    Args:
        checkpoint: whatever `export` takes.
        precision: of the encoder's linear layers; None: the exporter's default.
        on_stage: called with a line about each stage as it begins.

    Raises:
        ServingError: it cannot be exported or served.
    """
    with tempfile.TemporaryDirectory(prefix="bertriton-evaluate-") as folder:
        try:
            export(checkpoint, repository=folder, precision=precision, on_stage=on_stage)
        except ExportError as exc:
            raise ServingError(str(exc)) from exc
        on_stage("starting the server")
        server = LocalServer(ServerConfig(Path(folder), stop_grace_s=0))
        try:
            server.start()
        except ServerError as exc:
            raise ServingError(exc.summary) from exc
        try:
            yield server
        finally:
            server.stop()
