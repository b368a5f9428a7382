"""A ModernBERT on a real Triton, asked by the client, answers as Transformers does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rebuilt_checkpoints

from bertriton import Client
from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "modernbert-single"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("modernbert")
    checkpoint = rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(NAME), folder / NAME)
    export(checkpoint, name="modern", repository=folder / "repository", precision="fp32")
    config = ServerConfig(folder / "repository", stop_grace_s=0)
    with LocalServer(config) as server, Client(server.grpc_url, "modern", timeout=120) as client:
        yield client


def test_logits_are_those_of_transformers_and_the_same_bits_alone(client: Client) -> None:
    answers: list[dict[str, Any]] = rebuilt_checkpoints.read(NAME)["answers"]
    texts = [
        answer["text"] if isinstance(answer["text"], str) else tuple(answer["text"]) for answer in answers
    ]

    together = client.classify(texts)

    expected = [answer["logits"] for answer in answers]
    np.testing.assert_allclose([found.logits for found in together], expected, rtol=0, atol=TOLERANCE)
    alone = [client.classify([text])[0].logits for text in texts]
    assert alone == [found.logits for found in together]
