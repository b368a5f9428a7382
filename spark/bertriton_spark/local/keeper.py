"""The process that runs a host's server: `python -m bertriton_spark.local.keeper`, with what `main` takes."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bertriton_server import LocalServer, ServerConfig, ServerExitedError
from bertriton_spark.local.layout import Layout, lock, try_lock

LINGER_S: Final = 10.0  # without a lease; the next job of a notebook often comes at once
_LOOK_S: Final = 1.0


def main(arguments: list[str]) -> int:
    """Serve until nobody needs it; what went wrong is the last line of its output.

    Args:
        arguments: the server's folder, what it serves, the classifier's name, and the precision or nothing.
    """
    folder, source, name, precision = arguments
    layout = Layout(Path(folder))
    with ExitStack() as stack:
        stack.enter_context(lock(layout.keeping))  # waits for a keeper that is about to end
        unused = try_lock(layout.leases)
        if unused is not None:  # whoever wanted this one was served by the one before, or is gone
            unused.close()
            return 0
        stack.callback(shutil.rmtree, layout.repository, ignore_errors=True)
        try:
            _keep(layout, repository_of(layout, source, name, precision or None), stack)
        except Exception as exc:  # noqa: BLE001  # whoever waits for the server reads it
            print(f"{type(exc).__name__}: {' '.join(str(exc).split())}", flush=True)  # noqa: T201
            return 1
    return 0


def repository_of(layout: Layout, source: str, name: str, precision: str | None) -> Path:
    """The source itself if it is a model repository, else what the exporter makes of it."""
    if any(Path(source).glob("*/config.pbtxt")):
        return Path(source)
    # Executors that are given a repository need no exporter.
    from bertriton_export import export  # noqa: PLC0415

    shutil.rmtree(layout.repository, ignore_errors=True)  # of a keeper that was killed
    export(source, name=name, repository=layout.repository, precision=precision)
    return layout.repository


def _keep(layout: Layout, repository: Path, stack: ExitStack) -> None:
    with LocalServer(ServerConfig(repository)) as server:
        written = layout.address.with_suffix(".new")
        written.write_text(server.grpc_url, encoding="ascii")
        written.rename(layout.address)
        unused_since = time.monotonic()
        while True:
            time.sleep(_LOOK_S)
            _heal(server)
            alone = try_lock(layout.leases)
            if alone is None:
                unused_since = time.monotonic()
            elif time.monotonic() - unused_since < LINGER_S:
                alone.close()
            else:
                # Kept until the end: who asks for a lease now waits, finds no server and starts one.
                stack.enter_context(alone)
                layout.address.unlink()
                return


def _heal(server: LocalServer) -> None:
    try:
        server.check()
    except ServerExitedError:
        server.restart()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
