"""`bertriton export` from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from bertriton_export.command import export_command

if TYPE_CHECKING:
    from pathlib import Path


def test_summary_tells_name_labels_place_and_agreement(one_layer: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"

    result = CliRunner().invoke(
        export_command, [str(one_layer), "--precision", "fp32", "--repository", str(repository)]
    )

    assert result.exit_code == 0
    assert "one-layer: 2 labels (neg, pos), up to 64 tokens" in result.stdout
    assert str(repository) in result.stdout
    assert "of the float64 reference (allowed 1e-04)" in result.stdout


def test_json_report_is_for_programs(one_layer: Path, tmp_path: Path) -> None:
    arguments = [str(one_layer), "--name", "tiny", "--labels", "bad,good", "--json", "--precision", "fp32"]

    result = CliRunner().invoke(export_command, [*arguments, "--repository", str(tmp_path / "repository")])

    report = json.loads(result.stdout)
    assert report["classifier"]["name"] == "tiny"
    assert report["classifier"]["labels"] == ["bad", "good"]
    assert report["verification"]["max_difference"] <= report["verification"]["tolerance"]


def test_options_have_environment_variables(one_layer: Path, tmp_path: Path) -> None:
    environment = {
        "BERTRITON_NAME": "tiny",
        "BERTRITON_PRECISION": "fp32",
        "BERTRITON_MODEL_REPOSITORY": str(tmp_path / "repository"),
    }

    result = CliRunner().invoke(export_command, [str(one_layer)], env=environment)

    assert result.exit_code == 0
    assert (tmp_path / "repository" / "tiny" / "config.pbtxt").exists()


def test_failure_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(export_command, [str(tmp_path / "nowhere")])

    assert result.exit_code == 1
    assert f"Error: {tmp_path / 'nowhere'}: no such file or folder\n" == result.stderr
