"""The graph answers what Hugging Face Transformers answers (recorded by tests/golden/record.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from bertriton_export import export
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import GraphSession, reference_logits

TESTS = Path(__file__).parent.parent
NAME_TO_CHECKPOINT = {
    "imdb-minilm": TESTS.parent / "checkpoints" / "imdb-minilm",
    **{name: TESTS / "data" / "checkpoints" / name for name in ("cased", "three-labels", "one-layer")},
}
TOLERANCE = 1e-4

pytestmark = pytest.mark.parametrize("name", NAME_TO_CHECKPOINT)


def golden(name: str) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = json.loads(
        (TESTS / "golden" / f"{name}.json").read_text(encoding="utf-8")
    )
    return answers


def golden_encodings(name: str, answers: list[dict[str, Any]]) -> list[Any]:
    checkpoint = read_checkpoint(NAME_TO_CHECKPOINT[name])
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    texts = [answer["text"] for answer in answers]
    return tokenizer.encode_batch([text if isinstance(text, str) else tuple(text) for text in texts])


def test_tokens_are_those_of_transformers(name: str) -> None:
    answers = golden(name)

    for answer, encoding in zip(answers, golden_encodings(name, answers), strict=True):
        assert answer["input_ids"] == encoding.ids, answer["text"]
        assert answer["token_type_ids"] == encoding.type_ids, answer["text"]


def test_graph_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    answers = golden(name)
    export(NAME_TO_CHECKPOINT[name], name="model", repository=tmp_path, precision="fp32")

    found = GraphSession(tmp_path / "model_bert" / "1" / "model.onnx").logits(golden_encodings(name, answers))

    np.testing.assert_allclose(found, [answer["logits"] for answer in answers], rtol=0, atol=TOLERANCE)


def test_reference_logits_are_those_of_transformers(name: str) -> None:
    answers = golden(name)[::3]  # float64 on long texts takes its time

    found = reference_logits(read_checkpoint(NAME_TO_CHECKPOINT[name]), golden_encodings(name, answers))

    np.testing.assert_allclose(found, [answer["logits"] for answer in answers], rtol=0, atol=TOLERANCE)
