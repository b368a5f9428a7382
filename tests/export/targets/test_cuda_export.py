"""Export for CUDA by its options: what is said of it, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from bertriton_export import OptionError, UnsupportedModelError, export
from bertriton_export.command import export_command
from bertriton_export.targets import PRECISION_TO_TOLERANCE

if TYPE_CHECKING:
    from pathlib import Path


def test_report_and_manifest_say_what_was_verified(one_layer: Path, tmp_path: Path) -> None:
    command = [str(one_layer), "--target", "cuda", "--name", "tiny", "--repository", str(tmp_path / "r")]

    result = CliRunner().invoke(export_command, command)

    assert result.exit_code == 0, result.stderr
    said = "fp16 logits on the CPU, of the same graph with a loop over windows in place of "
    assert f"{said}PackedMultiHeadAttention, which only GPUs have, within" in result.stdout
    manifest = json.loads((tmp_path / "r" / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["target"] == "cuda"
    assert manifest["precision"] == "fp16"
    assert manifest["verified"].startswith(said)
    assert manifest["verification"]["tolerance"] == PRECISION_TO_TOLERANCE["fp16"]


def test_a_weight_that_fp16_cannot_hold_is_named(one_layer: Path, tmp_path: Path) -> None:
    tensors = load_file(one_layer / "model.safetensors")
    name = "bert.encoder.layer.0.output.dense.weight"
    tensors[name] = tensors[name].astype(np.float32)
    tensors[name][0, 0] = 1e5
    save_file(tensors, one_layer / "model.safetensors")

    with pytest.raises(UnsupportedModelError, match=rf"{name}.*1e\+05.*export with --precision fp32"):
        export(one_layer, name="tiny", repository=tmp_path / "r", target="cuda")

    assert not list((tmp_path / "r").iterdir())
    report = export(one_layer, name="tiny", repository=tmp_path / "r", target="cuda", precision="fp32")
    assert report.verification.tolerance == PRECISION_TO_TOLERANCE["fp32"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision 'int8' for target cuda: expected one of fp16, fp32"),
        ({"keep_fp32": ["encoder.layer.0"]}, "about int8, and the precision is fp16"),
    ],
)
def test_options_of_int8_are_refused(
    one_layer: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        export(one_layer, repository=tmp_path, target="cuda", **options)


def test_fp16_is_refused_for_cpus(one_layer: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="precision 'fp16' for target cpu: expected one of int8, fp32"):
        export(one_layer, repository=tmp_path, precision="fp16")
