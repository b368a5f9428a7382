"""Every architecture with every head on a real Triton, asked by the client, answers as Transformers does."""

from __future__ import annotations

import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tritonclient.grpc import InferenceServerClient, InferInput

from bertriton import Client, contract
from bertriton_export import export
from bertriton_export.checkpoint import with_head
from bertriton_export.network import GraphOptions, Int8Options, write_bert_graph
from bertriton_export.reading import read_checkpoint
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bertriton import Classification

pytestmark = pytest.mark.any_server
CHECKPOINTS = Path(__file__).parent.parent / "data" / "architectures"
TOLERANCE = 1e-4
HEADS = ("single", "multi", "regression")
THRESHOLD = 0.3
# Of the spread of the logits, on average; tests/export/test_architectures.py tells why so much.
INT8_TOLERANCE = 0.15
RANDOM_TEXTS = 700  # for each tokenizer, so that all together get ten thousand
ROWS = 50  # of a request


@dataclass(frozen=True)
class Served:
    """One architecture's three heads on a server, each in fp32 and, named HEAD-int8, in int8."""

    architecture: str
    url: str
    client: Client

    def checkpoint(self, model: str) -> Path:
        return CHECKPOINTS / f"{self.architecture}-{model.removesuffix('-int8')}"

    def answers(self, model: str) -> tuple[list[Classification], list[dict[str, Any]]]:
        """What the model answers, and what Transformers does."""
        expected = json.loads((self.checkpoint(model) / "answers.json").read_text("utf-8"))
        texts = [answer["text"] for answer in expected]
        rows = [text if isinstance(text, str) else tuple(text) for text in texts]
        return self.client.classify(rows, model=model), expected


@pytest.fixture(
    scope="module", params=["bert", "deberta-v2", "distilbert", "electra", "roberta", "xlm-roberta"]
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Random networks do not pass the gate of int8, so their int8 graphs take the place of exported ones."""
    repository = tmp_path_factory.mktemp("repository")
    for head in HEADS:
        threshold = THRESHOLD if head == "multi" else None
        checkpoint = CHECKPOINTS / f"{request.param}-{head}"
        for name in (head, f"{head}-int8"):
            report = export(
                checkpoint, name=name, repository=repository, precision="fp32", threshold=threshold
            )
        graph_folder = repository / f"{head}-int8_bert" / "1"
        options = GraphOptions(Int8Options(), fingerprint=report.classifier.fingerprint)
        write_bert_graph(with_head(read_checkpoint(checkpoint)), graph_folder, options)
    config = ServerConfig(repository, stop_grace_s=0)
    with LocalServer(config) as server, Client(server.grpc_url) as client:
        yield Served(request.param, server.grpc_url, client)


def logits_of(expected: list[dict[str, Any]]) -> Any:
    return np.array([answer["logits"] for answer in expected])


@pytest.mark.parametrize("head", HEADS)
def test_logits_are_those_of_transformers(served: Served, head: str) -> None:
    found, expected = served.answers(head)

    np.testing.assert_allclose(
        [answer.logits for answer in found], logits_of(expected), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("head", HEADS)
def test_int8_logits_are_near_those_of_transformers(served: Served, head: str) -> None:
    found, expected = served.answers(f"{head}-int8")

    logits = logits_of(expected)
    differences = np.abs([answer.logits for answer in found] - logits) / logits.std(axis=0)
    assert 0 < differences.mean() < INT8_TOLERANCE


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("is_pair", [False, True])
def test_served_tokens_of_random_texts_are_those_of_the_tokenizers_library(
    served: Served, head: str, *, is_pair: bool
) -> None:
    random_texts = runpy.run_path(str(CHECKPOINTS.parent.parent / "golden" / "random_texts.py"))[
        "random_texts"
    ]
    seed = f"{served.architecture} {head} {is_pair}"
    texts = random_texts(RANDOM_TEXTS, seed)
    checkpoint = read_checkpoint(served.checkpoint(head))
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    rows = list(zip(texts[::2], texts[1::2], strict=True)) if is_pair else [(text,) for text in texts]
    expected = [tokenizer.encode(*row).ids for row in rows]

    found = served_ids(served.url, f"{head}_tokenizer", rows)

    assert expected == found


def served_ids(url: str, model: str, rows: list[tuple[str, ...]]) -> list[list[int]]:
    """What the tokenizer gives the network for each row."""
    found = []
    with InferenceServerClient(url) as triton:
        for start in range(0, len(rows), ROWS):
            batch = [[text.encode() for text in row] for row in rows[start : start + ROWS]]
            texts = np.array(batch, dtype=np.object_)
            tensor = InferInput(contract.TEXT, list(texts.shape), "BYTES")
            tensor.set_data_from_numpy(texts)
            answer = triton.infer(model, [tensor], client_timeout=60)
            is_token = answer.as_numpy(contract.POSITION_IDS) != contract.PADDING_POSITION
            ids = answer.as_numpy(contract.INPUT_IDS)
            found += [row[real].tolist() for row, real in zip(ids, is_token, strict=True)]
    return found


def test_single_label_answers_have_one_label(served: Served) -> None:
    found, expected = served.answers("single")

    labels = np.array(["neg", "so so", "pos"])[logits_of(expected).argmax(axis=-1)].tolist()
    assert labels == [answer.label for answer in found]
    assert [(label,) for label in labels] == [answer.labels for answer in found]
    for answer in found:
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-6)


def test_multi_label_answers_have_all_labels_over_the_threshold(served: Served) -> None:
    found, expected = served.answers("multi")

    probabilities = 1 / (1 + np.exp(-logits_of(expected)))
    names = ("funny", "sad", "long")
    for answer, row in zip(found, probabilities, strict=True):
        labels = tuple(name for name, score in zip(names, row, strict=True) if score >= THRESHOLD)
        assert labels == answer.labels
        np.testing.assert_allclose(list(answer.scores.values()), row, rtol=0, atol=TOLERANCE)


def test_regression_answers_have_a_value(served: Served) -> None:
    found, expected = served.answers("regression")

    values = [answer.value for answer in found]
    np.testing.assert_allclose(values, logits_of(expected)[:, 0], rtol=0, atol=TOLERANCE)
    assert {answer.labels for answer in found} == {()}
