"""DeBERTa's packed graph: distances are told apart as in Transformers, and no row has a part in another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertriton import contract
from bertriton_export.checkpoint import (
    Checkpoint,
    DebertaConfig,
    LazyTensor,
    Weights,
    tensor_shapes,
    with_head,
)
from bertriton_export.network import GraphOptions, Int8Options, write_bert_graph
from bertriton_export.network.disentangled import buckets, column_counts, columns
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import FP32_TOLERANCE, verify
from bertriton_export.verification.deberta_reference import bucket

TESTS = Path(__file__).parents[2]
CHECKPOINTS = TESTS / "data" / "architectures"
NAMES = sorted(folder.name for folder in CHECKPOINTS.glob("deberta-v2-*"))
GOLDEN = json.loads((TESTS / "data" / "deberta-buckets.json").read_text("utf-8"))
FURTHEST = 2047
VOCABULARY = 200  # ids that all these checkpoints have
PRECISIONS = ("fp32", "int8")

texts_of_ids = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=64), min_size=1, max_size=7
)


def with_distances(span: int, distances: int) -> DebertaConfig:
    config = read_checkpoint(CHECKPOINTS / "deberta-v2-single").config
    assert isinstance(config, DebertaConfig)
    sizes = {"position_buckets": span, "max_relative_positions": distances}
    return replace(config, max_position_embeddings=FURTHEST + 1, **sizes)


def recorded(begins: list[list[int]]) -> Any:
    """The bucket of each distance from -FURTHEST to FURTHEST."""
    starts, values = zip(*begins, strict=True)
    return np.repeat(values, np.diff([*starts, FURTHEST + 1]))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['buckets']} of {case['distances']}")
def test_buckets_are_those_of_transformers(case: dict[str, Any]) -> None:
    config = with_distances(case["buckets"], case["distances"])
    expected = recorded(case["begins"])

    np.testing.assert_array_equal(buckets(config), np.clip(expected, -config.span, config.span))
    np.testing.assert_array_equal(bucket(config, np.arange(-FURTHEST, FURTHEST + 1)), expected)


def test_a_short_text_needs_the_first_columns_alone() -> None:
    config = with_distances(256, 512)
    found, counts = columns(config), column_counts(config)

    assert [0, 1, 3, 5, 7] == counts[:5].tolist()
    assert 2 * config.span + 1 == counts[-1]
    for length in (1, 2, 7, 128, 129, 200, 512, FURTHEST + 1):
        needed = found[FURTHEST - length + 1 : FURTHEST + length]
        assert needed.max() < counts[length]


@pytest.fixture(scope="module", params=[(name, kind) for name in NAMES for kind in PRECISIONS], ids="-".join)
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> onnxruntime.InferenceSession:
    name, precision = request.param
    options = GraphOptions(Int8Options() if precision == "int8" else None)
    checkpoint = with_head(read_checkpoint(CHECKPOINTS / name))
    file = write_bert_graph(checkpoint, tmp_path_factory.mktemp("graph"), options)
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, rows: list[list[int]], positions: list[list[int]]) -> Any:
    shapes = np.array([[1, len(row)] for row in rows], np.int32).reshape(-1)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    ids = np.concatenate(rows).astype(np.int32)
    inputs = {name + contract.SHAPES_SUFFIX: shapes for name in names} | {
        contract.INPUT_IDS: ids,
        contract.TOKEN_TYPE_IDS: np.zeros_like(ids),
        contract.POSITION_IDS: np.concatenate(positions).astype(np.int32),
    }
    return session.run([contract.LOGITS], inputs)[0]


@given(texts=texts_of_ids)
@settings(max_examples=12, deadline=None)
def test_a_text_has_the_same_bits_alone_and_in_any_batch(
    session: onnxruntime.InferenceSession, texts: list[list[int]]
) -> None:
    positions = [[*range(len(text))] for text in texts]
    alone = [run(session, [text], [places])[0] for text, places in zip(texts, positions, strict=True)]

    together = run(session, texts, positions)

    np.testing.assert_array_equal(alone, together)


@given(texts=texts_of_ids, data=st.data())
@settings(max_examples=8, deadline=None)
def test_a_window_is_read_as_a_text(
    session: onnxruntime.InferenceSession, texts: list[list[int]], data: st.DataObject
) -> None:
    """Windows of one text, with padding behind: the largest of what each would be alone."""
    padding = data.draw(st.integers(0, 3))
    alone = [run(session, [text], [[*range(len(text))]])[0] for text in texts]
    starts = [0, *[contract.NEXT_WINDOW_OF_MAXIMUM] * (len(texts) - 1)]
    windows = [[start, *range(1, len(text))] for start, text in zip(starts, texts, strict=True)]
    row = [token for text in texts for token in text] + [7] * padding
    positions = [place for window in windows for place in window] + [contract.PADDING_POSITION] * padding

    (found,) = run(session, [row], [positions])

    np.testing.assert_array_equal(np.max(alone, axis=0), found)


@pytest.mark.parametrize("name", NAMES)
def test_a_written_file_is_valid(name: str, tmp_path: Path) -> None:
    file = write_bert_graph(with_head(read_checkpoint(CHECKPOINTS / name)), tmp_path, GraphOptions())

    onnx.checker.check_model(file, full_check=True)


def middling() -> Checkpoint:
    """Two layers with few words, heads as wide as real ones and as many buckets; random weights."""
    tiny = with_head(read_checkpoint(CHECKPOINTS / "deberta-v2-single"))
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 512}
    distances = {"position_buckets": 256, "max_relative_positions": 512, "max_position_embeddings": 512}
    config = replace(tiny.config, **sizes, **distances)
    random, tensors = np.random.default_rng(0), {}
    for name, shape in tensor_shapes(config).items():
        array = random.normal(1 if "LayerNorm.weight" in name else 0, 0.05, shape).astype(np.float32)
        tensors[name] = LazyTensor(tiny.path, shape, "F32", lambda array=array: array)  # type: ignore[misc]
    return replace(tiny, config=config, weights=Weights(config, tensors, tiny.path), max_length=512)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_long_texts_have_the_same_bits_alone_and_together(precision: str, tmp_path: Path) -> None:
    """On all cores, as products of this size are spread over."""
    options = GraphOptions(Int8Options() if precision == "int8" else None)
    session = onnxruntime.InferenceSession(
        write_bert_graph(middling(), tmp_path, options), providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(1)
    texts = [random.integers(0, VOCABULARY, length).tolist() for length in (512, 1, 130, 2, 300, 65)]
    positions = [[*range(len(text))] for text in texts]
    alone = [run(session, [text], [places])[0] for text, places in zip(texts, positions, strict=True)]

    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 0, 4, 1, 2], [1, 4]):
        together = run(session, [texts[one] for one in order], [positions[one] for one in order])
        np.testing.assert_array_equal([alone[one] for one in order], together)


def test_long_texts_are_computed_as_by_the_reference(tmp_path: Path) -> None:
    checkpoint = middling()

    file = write_bert_graph(checkpoint, tmp_path, GraphOptions())

    assert 0 < verify(checkpoint, file).max_difference <= FP32_TOLERANCE
