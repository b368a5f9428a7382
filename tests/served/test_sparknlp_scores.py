"""What the real Spark NLP saved, on a real Triton, answers with the scores that Spark NLP gave."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bertriton import Client
from bertriton_export import export
from bertriton_server import LocalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.any_server
TESTS = Path(__file__).parent.parent
SAVED = TESTS / "data" / "sparknlp" / "saved"
GOLDEN = TESTS / "golden"
ANSWERS = TESTS / "data" / "sparknlp"
VERSIONS = ("3.4.4", "5.5.3")
PROBLEM_TYPES = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}
TOLERANCE = 1e-4
MAX_LENGTH = 32  # tokens, of record_sparknlp.py


def lowered(saved: Path, folder: Path) -> Path:
    """The saved model as `setCaseSensitive(False)` would have had it saved."""
    shutil.unpack_archive(saved, folder)
    file = folder / "metadata" / "part-00000"
    document = json.loads(file.read_text("utf-8"))
    document["paramMap"]["caseSensitive"] = False
    file.write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with each version's classifier, cased or not, as softmax and as sigmoid."""
    repository = tmp_path_factory.mktemp("repository")
    for version in VERSIONS:
        cased = SAVED / f"{version}-tensorflow.zip"
        uncased = lowered(cased, tmp_path_factory.mktemp("uncased") / version)
        for case, saved in (("cased", cased), ("uncased", uncased)):
            for activation, problem_type in PROBLEM_TYPES.items():
                export(
                    saved,
                    name=f"{version}-{case}-{activation}",
                    repository=repository,
                    precision="fp32",
                    problem_type=problem_type,
                    tokenization="sparknlp",
                )
    with LocalServer(ServerConfig(repository, stop_grace_s=0)) as server, Client(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """What record_sparknlp.py asked the tiny classifiers."""
    asked = runpy.run_path(str(GOLDEN / "sparknlp_texts.py"))
    return asked["asked_of_classifiers"]()  # type: ignore[no-any-return]


def scores_of(annotation: dict[str, Any], labels: list[str]) -> list[float]:
    """In the order of the logits; older versions write Some(label)."""
    scores = annotation["scores"]
    return [scores[label] if label in scores else scores[f"Some({label})"] for label in labels]


@pytest.mark.parametrize("activation", PROBLEM_TYPES)
@pytest.mark.parametrize("case", ["cased", "uncased"])
@pytest.mark.parametrize("version", VERSIONS)
def test_scores_are_those_of_the_real_one(
    client: Client, texts: list[str], version: str, case: str, activation: str
) -> None:
    golden = json.loads((ANSWERS / f"answers-{version}.json").read_text("utf-8"))["tensorflow"]
    expected = golden[f"document {case} {activation}"]
    # Spark NLP makes no annotation of a text without a token, nor with sigmoid of one without a label.
    answered = [(text, found[0]) for text, found in zip(texts, expected, strict=True) if found]
    assert len(answered) > len(texts) / 2

    model = f"{version}-{case}-{activation}"
    answers = client.classify([text for text, _ in answered], model=model, max_length=MAX_LENGTH)

    for (text, annotation), answer in zip(answered, answers, strict=True):
        wanted = scores_of(annotation, list(answer.scores))
        np.testing.assert_allclose(list(answer.scores.values()), wanted, atol=TOLERANCE, err_msg=text)
        assert annotation["result"] in (answer.labels if activation == "sigmoid" else {answer.label})


@pytest.mark.parametrize("version", VERSIONS)
def test_scores_of_sentences_are_those_of_the_real_one(
    client: Client, texts: list[str], version: str
) -> None:
    golden = json.loads((ANSWERS / f"answers-{version}.json").read_text("utf-8"))["tensorflow"]
    # Up to the eighth sentence older versions tell each by its own place (batchSize).
    annotations = [
        (text[one["begin"] : one["end"] + 1], one)
        for text, found in zip(texts, golden["sentences cased softmax"], strict=True)
        if text.isascii()
        for one in found[:8]
    ]
    assert len(annotations) > len(texts) / 2

    model = f"{version}-cased-softmax"
    answers = client.classify([text for text, _ in annotations], model=model, max_length=MAX_LENGTH)

    for (text, annotation), answer in zip(annotations, answers, strict=True):
        wanted = scores_of(annotation, list(answer.scores))
        np.testing.assert_allclose(list(answer.scores.values()), wanted, atol=TOLERANCE, err_msg=text)
