"""`docker/gpu-check.sh` with a server for CPUs: one report, whole also where a part fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bertriton_bench.devices import peak_tflops

pytestmark = pytest.mark.any_server
ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "checkpoints" / "imdb-minilm"
TINY_CHECKPOINT = ROOT / "tests" / "data" / "checkpoints" / "three-labels"
QUICKLY = ["--seconds", "0.5", "--requests", "24"]


def gpu_check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "docker" / "gpu-check.sh", *QUICKLY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(report: str) -> dict[str, str]:
    lines = [line.removeprefix("| ").removesuffix(" |") for line in report.splitlines() if line[:2] == "| "]
    return dict(line.split(" | ", 1) for line in lines)


def test_a_target_is_served_asked_and_reported(tmp_path: Path) -> None:
    report = tmp_path / "report.md"

    done = gpu_check("--targets", "cpu", "--peak-tflops", "1", "--output", report)

    assert done.returncode == 0, done.stderr
    found = rows_of(report.read_text())
    assert found["export"].startswith("int8, exported in")
    assert found["start"].startswith("ready after")
    difference = float(found["agreement with float64"].split()[0])
    assert 0 < difference < 0.5
    assert "32 of 32 labels" in found["agreement with float64"]
    assert found["hostile requests beside innocent ones"].startswith("none of ")
    assert "of 24 over 400 ms" in found["stalls, 1 clients"]
    for in_flight in (1, 16, 64):
        assert "tokens/s, p50" in found[f"{in_flight} texts in flight"]
    assert "% of 1" in found["share of the device's peak"]
    assert report.read_text().endswith("Failed: 0\n")


def test_what_cannot_be_had_here_is_in_the_report_and_the_rest_goes_on() -> None:
    done = gpu_check("--targets", "tensorrt,cpu", "--checkpoint", TINY_CHECKPOINT)

    assert done.returncode == 1
    tensorrt, _, cpu = done.stdout.partition("## Target cpu")
    assert "FAILED" in rows_of(tensorrt)["export"]
    assert "nvidia-smi" in rows_of(tensorrt)["export"] or "trtexec" in rows_of(tensorrt)["export"]
    assert "tokens/s, p50" in rows_of(cpu)["16 texts in flight"]


def test_a_target_that_does_not_exist_is_named() -> None:
    done = gpu_check("--targets", "tpu")

    assert done.returncode == 2
    assert "expected some of cpu, cuda, tensorrt, onnxruntime-tensorrt" in done.stderr


def test_a_device_is_known_by_the_words_of_what_nvidia_smi_prints() -> None:
    printed = "name, driver_version, memory.total [MiB]\nNVIDIA L4, 550.54.15, 23034 MiB"

    assert peak_tflops(printed, "fp16") == 121.0
    assert peak_tflops("not found", "fp16") is None
