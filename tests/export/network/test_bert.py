"""The packed graph: a text's logits do not depend on how texts are put together."""

from __future__ import annotations

import json
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


def run(
    session: onnxruntime.InferenceSession,
    ids: Any,
    positions: Any,
    widths: list[int],
    types: Any = None,
    *,
    outputs: tuple[str, ...] = (contract.LOGITS, contract.PROBABILITIES),
) -> Any:
    shapes = np.array([[1, width] for width in widths], np.int32).reshape(-1)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    return session.run(
        list(outputs),
        {name + contract.SHAPES_SUFFIX: shapes for name in names}
        | {
            contract.INPUT_IDS: np.asarray(ids, np.int32),
            contract.POSITION_IDS: np.asarray(positions, np.int32),
            contract.TOKEN_TYPE_IDS: np.zeros(len(ids), np.int32)
            if types is None
            else np.asarray(types, np.int32),
        },
    )


def packed(texts: list[list[int]], padding: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Ids and positions of texts one after the other, each followed by padding, and their widths."""
    ids = [token for text in texts for token in (*text, *[7] * padding)]
    positions = [place for text in texts for place in (*range(len(text)), *[-1] * padding)]
    return ids, positions, [len(text) + padding for text in texts]


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
    text = packed([[1, 2, 3, 4]])

    first, second = (run(session, *text, types)[0] for types in ([0, 0, 0, 0], [0, 0, 1, 1]))

    assert np.abs(first - second).max() > TOLERANCE


def test_probabilities_are_the_softmax_of_the_logits(session: onnxruntime.InferenceSession) -> None:
    logits, probabilities = run(session, *packed([[1, 2, 3], [9]]))

    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(
        probabilities, exponentials / exponentials.sum(axis=-1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize("texts", [[[1, 2, 3]], [[1, 2, 3], [9]]])
@pytest.mark.parametrize("second_window", [0, contract.NEXT_WINDOW_OF_MEAN])
def test_every_row_carries_the_fingerprint_of_the_export(
    onnx_file: Path, session: onnxruntime.InferenceSession, texts: list[list[int]], second_window: int
) -> None:
    ids, positions, widths = packed(texts, padding=1)
    positions[2] = second_window  # of a text's two windows or, with 0, a start that is none

    (found,) = run(session, ids, positions, widths, outputs=(contract.FINGERPRINT,))

    manifest = onnx_file.parent.parent.parent / "tiny" / "1" / "manifest.json"
    fingerprint = json.loads(manifest.read_text())["classifier"]["fingerprint"]
    assert found.dtype == np.int32
    assert [contract.fingerprint_of(words) for words in found.tolist()] == [fingerprint] * len(texts)


def test_file_is_valid_and_names_every_contrib_operator(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx_file, full_check=True)
    model = onnx.load(onnx_file)

    contrib = {node.op_type for node in model.graph.node if node.domain == CONTRIB_DOMAIN}
    assert contrib <= CONTRIB_OPS
    assert {node.domain for node in model.graph.node} == {"", CONTRIB_DOMAIN}
