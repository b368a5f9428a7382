"""What the logits mean is taken from the checkpoint or said at export, and whatever cannot be is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from bertriton import contract
from bertriton_export import OptionError, UnsupportedModelError, export
from bertriton_export.checkpoint import HEADS, with_head
from bertriton_export.int8 import judged
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, packed_inputs

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a film", "dull", "one of the best films of the year"]


def set_problem_type(checkpoint: Path, problem_type: str | None) -> None:
    file = checkpoint / "config.json"
    document = json.loads(file.read_text(encoding="utf-8")) | {"problem_type": problem_type}
    file.write_text(json.dumps(document))


def scores_and_logits(repository: Path, checkpoint: Path) -> Any:
    session = onnxruntime.InferenceSession(repository / "tiny_bert" / "1" / "model.onnx")
    inputs = packed_inputs(encode(read_checkpoint(checkpoint), TEXTS))
    return session.run([contract.PROBABILITIES, contract.LOGITS], inputs)


def test_every_problem_type_of_the_contract_has_a_head() -> None:
    assert {contract.SINGLE_LABEL, contract.MULTI_LABEL, contract.REGRESSION} == set(HEADS)


def test_multi_label_scores_are_sigmoids_and_the_threshold_is_in_the_config(
    three_labels: Path, tmp_path: Path
) -> None:
    set_problem_type(three_labels, contract.MULTI_LABEL)

    report = export(three_labels, name="tiny", repository=tmp_path, precision="fp32", threshold=0.3)

    scores, logits = scores_and_logits(tmp_path, three_labels)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=0, atol=1e-6)
    assert report.classifier.threshold == 0.3
    parameters = report.classifier.to_parameters()
    assert contract.ClassifierInfo.from_parameters("tiny", 64, parameters) == report.classifier


def test_regression_scores_are_the_logits(three_labels: Path, tmp_path: Path) -> None:
    set_problem_type(three_labels, contract.REGRESSION)

    export(three_labels, name="tiny", repository=tmp_path, precision="fp32")

    scores, logits = scores_and_logits(tmp_path, three_labels)
    np.testing.assert_array_equal(scores, logits)


def test_the_problem_type_of_an_export_overrules_the_checkpoint(three_labels: Path, tmp_path: Path) -> None:
    set_problem_type(three_labels, "ranking")

    report = export(
        three_labels, repository=tmp_path / "repository", precision="fp32", problem_type=contract.SINGLE_LABEL
    )

    assert report.classifier.problem_type == contract.SINGLE_LABEL


def test_an_unknown_problem_type_is_refused_by_name(three_labels: Path, tmp_path: Path) -> None:
    set_problem_type(three_labels, "ranking")

    with pytest.raises(UnsupportedModelError, match="problem_type 'ranking', expected one of"):
        export(three_labels, repository=tmp_path / "repository")
    with pytest.raises(OptionError, match="problem_type 'sorting', expected one of"):
        export(three_labels, repository=tmp_path / "repository", problem_type="sorting")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.7}, "threshold is about multi_label_classification"),
        ({"problem_type": contract.MULTI_LABEL, "threshold": 1.0}, "between 0 and 1"),
        ({"problem_type": contract.MULTI_LABEL, "threshold": float("nan")}, "between 0 and 1"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(
    three_labels: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        with_head(read_checkpoint(three_labels), **options)


@pytest.mark.parametrize(
    ("problem_type", "int8", "expected_agreement"),
    [
        (contract.SINGLE_LABEL, [[0.6, 0.4], [0.1, 0.9]], 0.5),
        (contract.MULTI_LABEL, [[0.6, 0.4], [0.1, 0.9]], 0.75),
        (contract.REGRESSION, [[0.41, 0.41], [0.1, 0.9]], 0.75),
    ],
)
def test_the_int8_gate_counts_answers_as_the_head_gives_them(
    three_labels: Path, problem_type: str, int8: list[list[float]], expected_agreement: float
) -> None:
    checkpoint = with_head(read_checkpoint(three_labels), problem_type)
    fp32 = np.array([[0.4, 0.45], [0.1, 0.9]], np.float32)

    comparison = judged(checkpoint, np.array(int8, np.float32), fp32)

    assert comparison.label_agreement == expected_agreement
    assert not comparison.is_close


def test_a_value_is_compared_in_parts_of_its_spread(three_labels: Path) -> None:
    checkpoint = with_head(read_checkpoint(three_labels), contract.REGRESSION)
    fp32 = np.array([[100.0], [300.0]] * 150, np.float32)  # the standard deviation is 100

    comparison = judged(checkpoint, fp32 + 2, fp32)

    assert (comparison.texts, comparison.label_agreement) == (300, 1.0)
    assert comparison.mean_difference == pytest.approx(0.02)
    assert comparison.max_difference == pytest.approx(0.02)
    assert comparison.allowed_difference == 0.025
    assert comparison.is_close
