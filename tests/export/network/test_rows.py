"""Rows of the packed graph: no content of one has a part in another, and a row with a fault is scored NaN."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertriton import contract
from bertriton_export.checkpoint import with_head
from bertriton_export.network import GraphOptions, write_bert_graph
from bertriton_export.reading import read_checkpoint

DATA = Path(__file__).parent.parent.parent / "data"
MEAN, MAXIMUM, PADDING = (
    contract.NEXT_WINDOW_OF_MEAN,
    contract.NEXT_WINDOW_OF_MAXIMUM,
    contract.PADDING_POSITION,
)
LARGEST = 2**31 - 1


class Row(NamedTuple):
    """What a request has in one row of the three inputs."""

    ids: list[int]
    types: list[int]
    positions: list[int]


def row(*positions: int, seed: int = 0) -> Row:
    ids = np.random.default_rng([seed, len(positions)]).integers(5, 300, len(positions)).tolist()
    return Row(ids, [0] * len(positions), list(positions))


INNOCENT = [
    row(*range(5), seed=1),
    row(*range(9), *[PADDING] * 3, seed=2),
    row(0, seed=3),
    row(*range(40), seed=4),
    row(0, 1, 2, MEAN, 1, 2, 3, MEAN, seed=5),
    row(0, 1, MAXIMUM, 1, 2, PADDING, seed=6),
]
THREE = row(0, 1, 2)
FAULTS = {
    "an id outside the vocabulary": THREE._replace(ids=[5, 10**6, 7]),
    "an id below 0": THREE._replace(ids=[5, -1, 7]),
    "the largest number everywhere": Row([LARGEST] * 3, [LARGEST] * 3, [LARGEST] * 3),
    "a type that does not exist": THREE._replace(types=[0, 2, 0]),
    "a type below 0": THREE._replace(types=[0, -1, 0]),
    "no start": row(1, 2, 3),
    "a mark as start": row(MEAN, 1, 2),
    "padding first": row(PADDING, 0, 1),
    "padding alone": row(PADDING, PADDING),
    "padding between tokens": row(0, PADDING, 1),
    "a window behind padding": row(0, 1, PADDING, MEAN, 1),
    "several starts": row(0, 0, 0),
    "a start inside": row(0, 1, 0, 1),
    "a gap": row(0, 2, 3),
    "places that stand still": row(0, 1, 1, 1),
    "a mark that does not exist": row(0, -4, 1),
    "the smallest and the largest number": row(0, -(2**31), LARGEST),
    "a window longer than any text": row(*range(65)),
    "no tokens": Row([], [], []),
    "fewer types than ids": THREE._replace(types=[0]),
    "no positions": THREE._replace(positions=[]),
    "more positions than ids": THREE._replace(positions=[0, 1, 2, 3, 4]),
    "ids alone": Row([5, 6, 7, 8], [], []),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    checkpoint = read_checkpoint(DATA / "checkpoints" / "three-labels")
    return session_of(checkpoint, tmp_path_factory.mktemp("graph"))


def session_of(checkpoint: Any, folder: Path) -> onnxruntime.InferenceSession:
    file = write_bert_graph(checkpoint, folder, GraphOptions())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # faults are the point
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def inputs_of(rows: list[Row]) -> dict[str, Any]:
    """As Triton lays rows end to end and tells their shapes."""
    inputs = {}
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    for name, of_rows in zip(names, zip(*rows, strict=True), strict=True):
        inputs[name] = np.array([*itertools.chain(*of_rows)], np.int32)
        shapes = np.array([[1, len(values)] for values in of_rows], np.int32)
        inputs[name + contract.SHAPES_SUFFIX] = shapes.reshape(-1)
    return inputs


def logits(session: onnxruntime.InferenceSession, rows: list[Row]) -> Any:
    return session.run([contract.LOGITS], inputs_of(rows))[0]


@pytest.fixture(scope="module")
def alone(session: onnxruntime.InferenceSession) -> Any:
    """The innocent rows' logits, each by itself."""
    found = np.concatenate([logits(session, [one]) for one in INNOCENT])
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_row_with_a_fault_is_nan_and_changes_no_bit_of_others(
    session: onnxruntime.InferenceSession, alone: Any, fault: Row
) -> None:
    for place in range(len(INNOCENT) + 1):
        found = logits(session, [*INNOCENT[:place], fault, *INNOCENT[place:]])

        assert np.isnan(found[place]).all()
        if all(fault):
            np.testing.assert_array_equal(np.delete(found, place, axis=0), alone)
        else:  # an input is empty, see the next test
            np.testing.assert_array_equal(found[:place], alone[:place])
            assert np.isnan(found[place:]).all()


@pytest.mark.parametrize("empty", range(len(Row._fields)), ids=Row._fields)
def test_what_triton_does_not_hand_over_is_not_answered(
    session: onnxruntime.InferenceSession, alone: Any, empty: int
) -> None:
    """Behind an empty input of a request its C++ backends leave in place what was in the memory before."""
    fault = THREE._replace(**{Row._fields[empty]: []})
    earlier = row(*range(sum(len(one.ids) for one in INNOCENT[2:])), seed=9)  # a text of somebody else
    inputs = inputs_of([*INNOCENT[:2], fault, *INNOCENT[2:]])
    name = [*inputs][2 * empty]
    inputs[name][-len(earlier.ids) :] = earlier[empty]

    found = session.run([contract.LOGITS], inputs)[0]

    np.testing.assert_array_equal(found[:2], alone[:2])
    assert np.isnan(found[2:]).all()


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_rows_hold_the_others_answer_as_alone(
    session: onnxruntime.InferenceSession, alone: Any, data: st.DataObject
) -> None:
    number = st.one_of(st.integers(-5, 70), st.sampled_from([LARGEST, -LARGEST - 1, 299, 511, 512]))
    values = st.lists(number, max_size=12)
    hostile = st.builds(Row, values, values, values)
    rows = data.draw(st.lists(st.one_of(hostile, st.sampled_from(INNOCENT)), max_size=8)) + INNOCENT[3:4]
    rows = data.draw(st.permutations(rows))

    found = logits(session, rows)

    assert len(found) == len(rows)
    for index, (one, answer) in enumerate(zip(rows, found, strict=True)):
        if not all(all(before) for before in rows[: index + 1]):
            assert np.isnan(answer).all()
        elif one in INNOCENT:
            np.testing.assert_array_equal(answer, alone[INNOCENT.index(one)])


@pytest.mark.parametrize("rows", [INNOCENT[:1], INNOCENT[:3]], ids=["plain", "padded"])
@pytest.mark.parametrize("widths", [[132], [0], [1, 1], [0, 7], [5, 3]])
def test_a_request_without_rows_fails_its_batch_and_moves_no_border(
    session: onnxruntime.InferenceSession, rows: list[Row], widths: list[int]
) -> None:
    """Triton tells of each its width and no more; the pip-only server refuses it before."""
    inputs = inputs_of(rows)
    for name in (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS):
        extra = np.concatenate([np.arange(width, dtype=np.int32) for width in widths])
        inputs[name] = np.concatenate([inputs[name], extra])
        shapes = inputs[name + contract.SHAPES_SUFFIX]
        inputs[name + contract.SHAPES_SUFFIX] = np.append(shapes, np.array(widths, np.int32))

    with pytest.raises(Exception, match=r"Reshape|ScatterElements"):
        session.run(None, inputs)


def test_token_types_that_nothing_reads_are_no_fault(tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(DATA / "architectures" / "distilbert-single"))
    session = session_of(checkpoint, tmp_path)

    found = logits(session, [THREE, THREE._replace(types=[9, -9, LARGEST])])

    assert not np.isnan(found).any()
    np.testing.assert_array_equal(found[0], found[1])


def test_places_counted_as_roberta_does_are_checked_too(tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(DATA / "architectures" / "roberta-single"))
    session = session_of(checkpoint, tmp_path)
    expected = logits(session, [THREE])

    found = logits(session, [FAULTS["an id below 0"], THREE, row(*range(checkpoint.config.longest_text + 1))])

    np.testing.assert_array_equal(found[1], expected[0])
    assert np.isnan(found[[0, 2]]).all()
