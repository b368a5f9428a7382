"""bench/comparisons/gpu.py: all but the GPU: a CPU runs the same checkpoint's graph for CPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract
from bertriton_bench.devices import peak_tflops
from bertriton_export import export
from bertriton_export.checkpoint import BertConfig
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import encode, packed_inputs
from comparisons import gpu

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoints" / "three-labels"
BERT_BASE = BertConfig(30522, 768, 12, 12, 3072, 512, 2, 1e-12, "gelu", 2)


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    """The search path has no nvidia-smi, whatever this machine has."""
    environment = {**os.environ, "PATH": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "comparisons.gpu", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: no NVIDIA GPU here")
    assert done.stderr.count("\n") == 1


def test_an_onnxruntime_without_cuda_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho NVIDIA L4\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    with pytest.raises(gpu.NoGpuError, match=r"NVIDIA L4: onnxruntime .* is built without CUDA; install"):
        gpu.device_name()


@pytest.mark.parametrize(("length", "megaflops_per_token"), [(32, 171.0), (128, 174.6), (512, 188.7)])
def test_flops_are_those_of_the_formula(length: int, megaflops_per_token: float) -> None:
    """12 (24 H^2 + 4 S H) of BERT-base, worked out apart."""
    found = gpu.flops(BERT_BASE, [length, length]) / (2 * length) / 1e6

    assert found == pytest.approx(megaflops_per_token, abs=0.05)


@pytest.mark.parametrize(
    ("device", "fp16"),
    [
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40S", 362.0),
        ("Tesla T4", 65.0),
        ("NVIDIA L40", None),
        ("NVIDIA A10G", None),
    ],
)
def test_peaks_go_by_whole_words_of_a_name(device: str, fp16: float | None) -> None:
    assert peak_tflops(device, "fp16") == fp16


def test_padded_batches_hold_real_tokens_up_to_the_longest() -> None:
    encodings = encode(read_checkpoint(CHECKPOINT), ["a film", "one of the best films of the year"])
    lengths = [len(encoding.ids) for encoding in encodings]

    inputs = gpu.padded_inputs(encodings)

    ids = inputs[contract.INPUT_IDS].reshape(2, max(lengths))
    for row, encoding in zip(ids, encodings, strict=True):
        assert row[: len(encoding.ids)].tolist() == encoding.ids
        assert set(row) == set(encoding.ids)
    assert inputs[contract.POSITION_IDS].tolist() == [*range(max(lengths))] * 2
    assert {name: array.dtype for name, array in packed_inputs(encodings).items()} == {
        name: array.dtype for name, array in inputs.items()
    }


def test_cuda_gets_the_options_of_the_config(tmp_path: Path) -> None:
    export(CHECKPOINT, name="tiny", repository=tmp_path, target="cuda")
    config = (tmp_path / "tiny_bert" / "config.pbtxt").read_text(encoding="utf-8")

    options = gpu.cuda_provider_options(text_format.Parse(config, ModelConfig()))

    assert int(options.pop("gpu_mem_limit")) > 2**29
    assert options == {
        "enable_skip_layer_norm_strict_mode": "1",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }


def test_results_are_measured_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exports, comparison, timing and output are the script's own; the network is the CPU's."""

    def open_on_cpu(network: Path) -> Any:
        assert (network / "1" / "model.onnx").exists()
        gpu.export(CHECKPOINT, name="twin", repository=tmp_path, precision="fp32")
        session = onnxruntime.InferenceSession(tmp_path / "twin_bert" / "1" / "model.onnx")
        return lambda inputs: np.asarray(session.run([contract.LOGITS], inputs)[0])

    monkeypatch.setattr(gpu, "device_name", lambda: "NVIDIA L4")
    monkeypatch.setattr(gpu, "open_on_gpu", open_on_cpu)
    arguments = ["gpu.py", "--checkpoint", str(CHECKPOINT), "--count", "12", "--batch", "5", "--seconds", "0"]

    monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
    assert gpu.main() == 0
    report = json.loads(capsys.readouterr().out)
    assert report["device"] == "NVIDIA L4"
    assert [result["precision"] for result in report["results"]] == ["fp16", "fp32"]
    for result in report["results"]:
        assert result["texts"] == 12
        assert 0 <= result["max_difference"] <= result["tolerance"]
        assert 0 <= result["padding"] < 1
        ratio = result["packed_tokens_per_s"] / result["padded_tokens_per_s"]
        assert result["speedup"] == pytest.approx(ratio)
        assert result["tflops"] > 0

    monkeypatch.setattr(sys, "argv", arguments)
    assert gpu.main() == 0
    printed = capsys.readouterr().out
    assert "NVIDIA L4" in printed
    assert printed.count("three-labels") == 2
