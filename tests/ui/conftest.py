"""The page itself, run as `bertriton ui` runs it, and a real browser to look at it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bertriton_server import LocalServer


@contextmanager
def _running_page(url: str, *arguments: str) -> Iterator[str]:
    """The address of a page that asks a server."""
    command = [sys.executable, "-m", "bertriton", "ui", "--page-port=0", "--url", url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        try:
            assert process.stdout.readline() == "ready, Ctrl-C stops\n", process.stderr.read()
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.fixture(scope="session")
def running_page() -> Callable[..., AbstractContextManager[str]]:
    """Runs a page for the server of a URL, with further arguments, and gives its address."""
    return _running_page


@pytest.fixture(scope="session")
def page_url(golden_server: LocalServer) -> Iterator[str]:
    """A page for the server that has all checkpoints of tests/data."""
    with _running_page(golden_server.grpc_url, "--model=imdb-minilm") as address:
        yield address
