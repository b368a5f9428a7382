"""The embedded classifier, where no call says where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bertriton_server import LocalServer


@pytest.fixture
def configured(imdb_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """The server, which the environment names."""
    monkeypatch.setenv("BERTRITON_URL", imdb_server.grpc_url)
    return imdb_server
