"""The packed graph: a text's logits do not depend on how texts are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertriton import contract
from bertriton_export import export
from bertriton_export.network.graph_builder import CONTRIB_DOMAIN, CONTRIB_OPS

TINY_CHECKPOINTS = Path(__file__).parent.parent.parent / "data" / "checkpoints"
TOLERANCE = 1e-5
VOCABULARY = 300  # ids that the tiny checkpoints all have

texts_of_ids = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=64), min_size=1, max_size=9
)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    export(TINY_CHECKPOINTS / "three-labels", name="tiny", repository=repository, precision="fp32")
    return repository / "tiny_bert" / "1" / "model.onnx"


@pytest.fixture(scope="module")
def session(onnx_file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, ids: Any, positions: Any, types: Any = None) -> Any:
    return session.run(
        None,
        {
            contract.INPUT_IDS: np.asarray(ids, np.int32),
            contract.POSITION_IDS: np.asarray(positions, np.int32),
            contract.TOKEN_TYPE_IDS: np.zeros(len(ids), np.int32)
            if types is None
            else np.asarray(types, np.int32),
        },
    )


def packed(texts: list[list[int]], padding: int = 0) -> tuple[list[int], list[int]]:
    """Ids and positions of texts one after the other, each followed by padding."""
    ids = [token for text in texts for token in (*text, *[7] * padding)]
    positions = [place for text in texts for place in (*range(len(text)), *[-1] * padding)]
    return ids, positions


@given(texts=texts_of_ids)
@settings(max_examples=40, deadline=None)
def test_texts_packed_together_answer_as_alone(
    session: onnxruntime.InferenceSession, texts: list[list[int]]
) -> None:
    alone = np.concatenate([run(session, *packed([text]))[0] for text in texts])

    together = run(session, *packed(texts))[0]

    np.testing.assert_allclose(together, alone, rtol=0, atol=TOLERANCE)


@given(texts=texts_of_ids, padding=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_padding_changes_nothing(
    session: onnxruntime.InferenceSession, texts: list[list[int]], padding: int
) -> None:
    expected = run(session, *packed(texts))[0]

    found = run(session, *packed(texts, padding))[0]

    np.testing.assert_array_equal(expected, found)


def test_token_types_matter(session: onnxruntime.InferenceSession) -> None:
    ids, positions = packed([[1, 2, 3, 4]])

    first, second = (run(session, ids, positions, types)[0] for types in ([0, 0, 0, 0], [0, 0, 1, 1]))

    assert np.abs(first - second).max() > TOLERANCE


def test_probabilities_are_the_softmax_of_the_logits(session: onnxruntime.InferenceSession) -> None:
    logits, probabilities = run(session, *packed([[1, 2, 3], [9]]))

    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(
        probabilities, exponentials / exponentials.sum(axis=-1, keepdims=True), atol=1e-6
    )


def test_file_is_valid_and_names_every_contrib_operator(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx_file, full_check=True)
    model = onnx.load(onnx_file)

    contrib = {node.op_type for node in model.graph.node if node.domain == CONTRIB_DOMAIN}
    assert contrib <= CONTRIB_OPS
    assert {node.domain for node in model.graph.node} == {"", CONTRIB_DOMAIN}
