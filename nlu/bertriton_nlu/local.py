"""Servers of this process's own: one for each model, from its first use to the end of the process."""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton_nlu.errors import LocalServerError
from bertriton_nlu.references import Server
from bertriton_server import LocalServer, ServerConfig, ServerError

if TYPE_CHECKING:
    from bertriton_nlu.references import LocalModel

_PRECISION_VARIABLE: Final = "BERTRITON_PRECISION"  # as `bertriton export` reads it
_MODEL_CONFIGS: Final = "*/config.pbtxt"  # what makes a folder a model repository

_servers: dict[LocalModel, Server] = {}
_starting: Final = threading.Lock()
_at_exit: Final = ExitStack()


def local_server(model: LocalModel) -> Server:
    """The server of a model, started if this process has none yet.

    Raises:
        LocalServerError: the model cannot be exported or served.
    """
    with _starting:
        if model not in _servers:
            _servers[model] = _started(model)
        return _servers[model]


def _started(model: LocalModel) -> Server:
    if not _servers:
        atexit.register(_at_exit.close)
    with ExitStack() as stack:
        repository = Path(model.source)
        if not any(repository.glob(_MODEL_CONFIGS)):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bertriton-nlu-"))
            repository = _exported(model, folder)
        try:
            server = stack.enter_context(LocalServer(ServerConfig(repository, stop_grace_s=0)))
        except ServerError as exc:
            raise LocalServerError(f"cannot serve {model.source}: {exc.summary}") from exc
        _at_exit.push(stack.pop_all())
    return Server(server.grpc_url, model.name)


def _exported(model: LocalModel, folder: str) -> Path:
    try:
        from bertriton_export import ExportError, export  # noqa: PLC0415  # only who serves himself needs it
    except ModuleNotFoundError as exc:
        raise LocalServerError(
            f"serving {model.source} here needs {exc.name}: pip install 'bertriton[export,serve]', or set "
            "BERTRITON_URL to a server"
        ) from exc
    try:
        export(
            model.source,
            name=model.name,
            repository=folder,
            precision=os.environ.get(_PRECISION_VARIABLE) or None,
        )
    except ExportError as exc:
        raise LocalServerError(f"cannot serve {model.source}: {exc}") from exc
    return Path(folder)
