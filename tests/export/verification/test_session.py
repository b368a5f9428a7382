"""Texts go through a graph in batches that fit into memory, and come back in their order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bertriton_export.network import GraphOptions, write_bert_graph
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets.tensorrt.families import write_tensorrt_graph
from bertriton_export.verification import (
    GraphSession,
    encode,
    reference_logits,
    sample_texts,
)
from bertriton_export.verification.session import TOKENS_PER_RUN

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

THREE_LABELS = Path(__file__).parent.parent.parent / "data" / "checkpoints" / "three-labels"
LONGEST = 64  # tokens, of the tiny model
CLOSE = 1e-5


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return read_checkpoint(THREE_LABELS)


@pytest.fixture(scope="module")
def packed(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> GraphSession:
    return GraphSession(write_bert_graph(checkpoint, tmp_path_factory.mktemp("packed"), GraphOptions()))


@pytest.fixture(scope="module")
def padded(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> GraphSession:
    folder = tmp_path_factory.mktemp("padded")
    return GraphSession(write_tensorrt_graph(checkpoint, folder, GraphOptions(dtype=np.float32)))


def sizes_of_batches(session: GraphSession, checkpoint: Checkpoint, texts: list[str]) -> list[int]:
    done = [0.0]
    session.probabilities(encode(checkpoint, texts), done.append)
    return [round(len(texts) * (after - before)) for before, after in itertools.pairwise(done)]


def test_a_batch_has_as_many_tokens_as_it_may(checkpoint: Checkpoint, packed: GraphSession) -> None:
    full = TOKENS_PER_RUN // LONGEST

    assert sizes_of_batches(packed, checkpoint, ["good " * 100] * (2 * full + 3)) == [full, full, 3]


def test_padding_counts_where_there_is_any(
    checkpoint: Checkpoint, packed: GraphSession, padded: GraphSession
) -> None:
    texts = ["good " * 100, *["good"] * (TOKENS_PER_RUN // LONGEST)]

    assert sizes_of_batches(packed, checkpoint, texts) == [len(texts)]
    assert sizes_of_batches(padded, checkpoint, texts) == [len(texts) - 1, 1]


def test_packed_and_padded_texts_have_the_references_logits(
    checkpoint: Checkpoint, packed: GraphSession, padded: GraphSession
) -> None:
    encodings = encode(checkpoint, ["good", "a film of which nobody knows", "good " * 100])

    expected = reference_logits(checkpoint, encodings)

    np.testing.assert_allclose(packed.logits(encodings), expected, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(padded.logits(encodings), expected, rtol=0, atol=CLOSE)


def test_probabilities_of_many_batches_stand_in_the_order_of_the_texts(
    checkpoint: Checkpoint, packed: GraphSession
) -> None:
    encodings = encode(checkpoint, sample_texts()[:100])

    together = packed.probabilities(encodings)

    alone = np.concatenate([packed.probabilities([encoding]) for encoding in encodings])
    np.testing.assert_allclose(together, alone, rtol=0, atol=CLOSE)


def test_batches_side_by_side_have_the_same_bits_in_the_same_order(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    file = write_bert_graph(checkpoint, tmp_path, GraphOptions())
    encodings = encode(checkpoint, sample_texts()[:200])

    in_turn, side_by_side = (GraphSession(file, runs_at_once=runs) for runs in (1, 3))

    assert sum(len(encoding.ids) for encoding in encodings) > 2 * TOKENS_PER_RUN
    assert (side_by_side.probabilities(encodings) == in_turn.probabilities(encodings)).all()


def test_texts_are_cut_to_what_the_model_reads(checkpoint: Checkpoint) -> None:
    (short, long) = encode(checkpoint, ["good", "good " * 100])

    assert (len(short.ids), len(long.ids)) == (3, LONGEST)
