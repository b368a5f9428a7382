"""Every architecture with every head on a real Triton, asked by the client, answers as Transformers does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bertriton import Client
from bertriton_export import export
from bertriton_export.bert_graph import GraphOptions, write_bert_graph
from bertriton_export.heads import with_head
from bertriton_export.int8_linear import Int8Options
from bertriton_export.readers import read_checkpoint
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton import Classification

CHECKPOINTS = Path(__file__).parent / "data" / "architectures"
TOLERANCE = 1e-4
THRESHOLD = 0.3
# Of the spread of the logits, on average; tests/export/test_architectures.py tells why so much.
INT8_TOLERANCE = 0.15


@pytest.fixture(scope="module", params=["bert", "distilbert", "electra", "roberta", "xlm-roberta"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with one architecture's three heads; gives answers and what Transformers answers.

    Random networks do not pass the gate of int8, so their int8 graphs take the place of exported ones.
    """
    repository = tmp_path_factory.mktemp("repository")
    for head in ("single", "multi", "regression"):
        threshold = THRESHOLD if head == "multi" else None
        checkpoint = CHECKPOINTS / f"{request.param}-{head}"
        for name in (head, f"{head}-int8"):
            export(checkpoint, name=name, repository=repository, precision="fp32", threshold=threshold)
        graph_folder = repository / f"{head}-int8_bert" / "1"
        options = GraphOptions(Int8Options())
        write_bert_graph(with_head(read_checkpoint(checkpoint)), graph_folder, options)
    with (
        LocalServer(ServerConfig(repository, stop_grace_s=0)) as server,
        Client(server.grpc_url) as client,
    ):

        def answers(head: str) -> tuple[list[Classification], list[dict[str, Any]]]:
            folder = f"{request.param}-{head.removesuffix('-int8')}"
            expected = json.loads((CHECKPOINTS / folder / "answers.json").read_text("utf-8"))
            texts = [answer["text"] for answer in expected]
            return client.classify(
                [text if isinstance(text, str) else tuple(text) for text in texts], model=head
            ), expected

        yield answers


def logits_of(expected: list[dict[str, Any]]) -> Any:
    return np.array([answer["logits"] for answer in expected])


@pytest.mark.parametrize("head", ["single", "multi", "regression"])
def test_logits_are_those_of_transformers(served: Any, head: str) -> None:
    found, expected = served(head)

    np.testing.assert_allclose(
        [answer.logits for answer in found], logits_of(expected), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("head", ["single", "multi", "regression"])
def test_int8_logits_are_near_those_of_transformers(served: Any, head: str) -> None:
    found, expected = served(f"{head}-int8")

    logits = logits_of(expected)
    differences = np.abs([answer.logits for answer in found] - logits) / logits.std(axis=0)
    assert 0 < differences.mean() < INT8_TOLERANCE


def test_single_label_answers_have_one_label(served: Any) -> None:
    found, expected = served("single")

    labels = np.array(["neg", "so so", "pos"])[logits_of(expected).argmax(axis=-1)].tolist()
    assert labels == [answer.label for answer in found]
    assert [(label,) for label in labels] == [answer.labels for answer in found]
    for answer in found:
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-6)


def test_multi_label_answers_have_all_labels_over_the_threshold(served: Any) -> None:
    found, expected = served("multi")

    probabilities = 1 / (1 + np.exp(-logits_of(expected)))
    names = ("funny", "sad", "long")
    for answer, row in zip(found, probabilities, strict=True):
        labels = tuple(name for name, score in zip(names, row, strict=True) if score >= THRESHOLD)
        assert labels == answer.labels
        np.testing.assert_allclose(list(answer.scores.values()), row, rtol=0, atol=TOLERANCE)


def test_regression_answers_have_a_value(served: Any) -> None:
    found, expected = served("regression")

    values = [answer.value for answer in found]
    np.testing.assert_allclose(values, logits_of(expected)[:, 0], rtol=0, atol=TOLERANCE)
    assert {answer.labels for answer in found} == {()}
