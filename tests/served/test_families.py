"""Families with graphs of their own on a real Triton, asked by the client, answer as Transformers does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rebuilt_checkpoints

from bertriton import BertritonError, Client
from bertriton_export import export
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, reference_logits
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("modernbert-single", "gte-single", "nomic_bert-single")
TOLERANCE = 1e-4
DATA = Path(__file__).parent.parent / "data"


def of_gpt2(folder: Path) -> Path:
    """A RoBERTa whose tokenizer adds no tokens of its own."""
    folder.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(DATA / "architectures" / "roberta-single" / file, folder / file)
    for file in ("vocab.json", "merges.txt"):
        shutil.copyfile(DATA / "tokenizers" / f"roberta-{file}", folder / file)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("families")
    for name in NAMES:
        checkpoint = rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(name), folder / name)
        export(checkpoint, name=name, repository=folder / "repository", precision="fp32")
    export(of_gpt2(folder / "gpt2"), name="gpt2", repository=folder / "repository", precision="fp32")
    with LocalServer(ServerConfig(folder / "repository", stop_grace_s=0)) as server:
        yield server.grpc_url


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_transformers_and_the_same_bits_alone(url: str, name: str) -> None:
    answers: list[dict[str, Any]] = rebuilt_checkpoints.read(name)["answers"]
    texts = [
        answer["text"] if isinstance(answer["text"], str) else tuple(answer["text"]) for answer in answers
    ]

    with Client(url, name, timeout=120) as client:
        together = client.classify(texts)
        alone = [client.classify([text])[0].logits for text in texts]

    expected = [answer["logits"] for answer in answers]
    np.testing.assert_allclose([found.logits for found in together], expected, rtol=0, atol=TOLERANCE)
    assert alone == [found.logits for found in together]


def test_a_tokenizer_without_tokens_of_its_own_is_served(url: str, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(of_gpt2(tmp_path / "gpt2"))
    texts = ["a film", "x"]

    with Client(url, "gpt2", timeout=120) as client:
        found = client.classify(texts)
        with pytest.raises(BertritonError, match="a row has no token"):
            client.classify("")

    expected = reference_logits(checkpoint, encode(checkpoint, texts))
    np.testing.assert_allclose([one.logits for one in found], expected, rtol=0, atol=TOLERANCE)
