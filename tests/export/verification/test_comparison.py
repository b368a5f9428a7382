"""A graph is held to the float64 reference on real text of many lengths, and refused where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bertriton import contract
from bertriton_export import VerificationError, export
from bertriton_export.network import GraphOptions, write_bert_graph
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import FP32_TOLERANCE, Verification, sample_texts, verify

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

THREE_LABELS = Path(__file__).parent.parent.parent / "data" / "checkpoints" / "three-labels"
# In tokens: the chosen ones under the tiny model's maximum, and that.
LENGTHS = (2, 3, 8, 21, 34, 55, 64)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return read_checkpoint(THREE_LABELS)


@pytest.fixture(scope="module")
def graph(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert_graph(checkpoint, tmp_path_factory.mktemp("graph"), GraphOptions())


def with_logits_off_by(graph: Path, errors: list[float]) -> Path:
    """A graph beside the first whose logits are off by so much, text by text."""
    model = onnx.load(graph, load_external_data=False)
    for node in model.graph.node:
        node.output[:] = ["exact" if name == contract.LOGITS else name for name in node.output]
    off = numpy_helper.from_array(np.array(errors, np.float32)[:, None], "off")
    model.graph.initializer.append(off)
    model.graph.node.append(helper.make_node("Add", ["exact", "off"], [contract.LOGITS]))
    file = graph.with_name("off.onnx")
    onnx.save(model, file)
    return file


def test_every_length_is_compared_in_one_batch(checkpoint: Checkpoint, graph: Path) -> None:
    found = verify(checkpoint, graph)

    assert (found.texts, found.tokens, found.tolerance) == (len(LENGTHS), sum(LENGTHS), FP32_TOLERANCE)
    assert 0 < found.max_difference < FP32_TOLERANCE


@pytest.mark.parametrize("place", range(len(LENGTHS)))
def test_one_text_that_is_off_is_enough_and_is_named(checkpoint: Checkpoint, graph: Path, place: int) -> None:
    errors = [0.001] * len(LENGTHS)
    errors[place] = -0.003

    with pytest.raises(VerificationError) as caught:
        verify(checkpoint, with_logits_off_by(graph, errors), tolerance=0.002)

    assert caught.value.max_difference == pytest.approx(0.003, abs=FP32_TOLERANCE)
    assert caught.value.tolerance == 0.002
    assert repr(" ".join(sample_texts()[place:])[:60]) in str(caught.value)


def test_a_difference_within_the_tolerance_is_told(checkpoint: Checkpoint, graph: Path) -> None:
    errors = [0.001] * (len(LENGTHS) - 1) + [0.003]

    found = verify(checkpoint, with_logits_off_by(graph, errors), tolerance=0.004)

    assert found.max_difference == pytest.approx(0.003, abs=FP32_TOLERANCE)


def test_no_number_is_the_largest_difference_of_all(checkpoint: Checkpoint, graph: Path) -> None:
    errors = [1e6] * len(LENGTHS)
    errors[2] = float("nan")

    with pytest.raises(VerificationError, match="off by nan") as caught:
        verify(checkpoint, with_logits_off_by(graph, errors), tolerance=1e9)

    assert repr(" ".join(sample_texts()[2:])[:60]) in str(caught.value)


def test_graph_that_disagrees_with_the_reference_is_not_written(
    one_layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_damaged(checkpoint: Checkpoint, onnx_file: Path) -> Verification:
        """The real check, after some bytes of the weights were changed."""
        weights = next(onnx_file.parent.glob("*.onnx.data"))
        content = bytearray(weights.read_bytes())
        content[3::400] = b"\x3f" * len(content[3::400])
        weights.write_bytes(content)
        return verify(checkpoint, onnx_file)

    monkeypatch.setattr("bertriton_export.int8.graph.verify", verify_damaged)

    with pytest.raises(VerificationError, match="nothing was written"):
        export(one_layer, name="a", repository=tmp_path / "repository", precision="fp32")

    assert list((tmp_path / "repository").iterdir()) == []
