"""What the TensorRT targets write: configs that Triton reads, and options that fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bertriton import contract
from bertriton_export import OptionError, export
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets import MAX_BATCH_SIZE
from bertriton_export.targets.tensorrt.profiles import Profile, engine_profiles, padded_lengths, whole_profile
from bertriton_export.verification import GraphSession, encode, sample_texts

if TYPE_CHECKING:
    from bertriton_export import ExportReport

THREE_LABELS = Path(__file__).parent.parent.parent / "data" / "checkpoints" / "three-labels"
LENGTHS = (16, 32, 64)  # of that checkpoint, which reads 64 tokens
INPUTS = [contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS]


def configs(repository: Path) -> dict[str, ModelConfig]:
    return {
        file.parent.name: text_format.Parse(file.read_text(encoding="utf-8"), ModelConfig())
        for file in repository.glob("*/config.pbtxt")
    }


def export_tiny(repository: Path, target: str = "tensorrt", **options: Any) -> ExportReport:
    return export(THREE_LABELS, name="tiny", repository=repository, target=target, **options)


def takes(profile: Profile, rows: int, tokens: int) -> bool:
    (fewest, shortest), (most, longest) = profile.smallest, profile.largest
    return fewest <= rows <= most and shortest <= tokens <= longest


@given(max_length=st.integers(3, 5000), rows=st.integers(1, MAX_BATCH_SIZE), data=st.data())
def test_every_padded_batch_has_one_profile(max_length: int, rows: int, data: st.DataObject) -> None:
    lengths = padded_lengths(max_length)
    assert sorted(set(lengths)) == list(lengths)
    assert lengths[-1] == max_length
    tokens = data.draw(st.integers(1, max_length))
    padded = next(length for length in lengths if length >= tokens)

    for size in (tokens, padded):
        takers = [index for index, one in enumerate(engine_profiles(lengths)) if takes(one, rows, size)]
        assert [lengths.index(padded)] == takers
        assert takes(whole_profile(lengths), rows, size)


def test_config_serves_the_engine_with_a_profile_a_length(tmp_path: Path) -> None:
    export_tiny(tmp_path)

    found = configs(tmp_path)
    bert = found["tiny_bert"]
    assert (bert.backend, bert.default_model_filename) == ("tensorrt", "model.plan")
    (group,) = bert.instance_group
    assert group.kind == ModelInstanceGroup.KIND_GPU
    assert ["0", "1", "2"] == list(group.profile)
    assert INPUTS == [tensor.name for tensor in bert.input if not tensor.allow_ragged_batch]
    assert [16, 32, 64] == list(bert.dynamic_batching.preferred_batch_size)
    assert list(LENGTHS) == [warmup.inputs[contract.INPUT_IDS].dims[0] for warmup in bert.model_warmup]
    assert "16,32,64" == found["tiny_tokenizer"].parameters["padded_lengths"].string_value
    for length in LENGTHS:
        assert (tmp_path / "tiny_bert" / "warmup" / f"position_ids_{length}").stat().st_size == 4 * length


def test_config_for_onnx_runtime_names_every_input_in_every_shape(tmp_path: Path) -> None:
    export_tiny(tmp_path, "onnxruntime-tensorrt")

    bert = configs(tmp_path)["tiny_bert"]
    assert (bert.backend, bert.default_model_filename) == ("onnxruntime", "")
    (accelerator,) = bert.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    options = dict(accelerator.parameters)
    for size, shape in (("min", "1x1"), ("opt", "16x32"), ("max", "64x64")):
        expected = ",".join(f"{name}:{shape}" for name in INPUTS)
        assert expected == options.pop(f"trt_profile_{size}_shapes")
    fingerprint = json.loads((tmp_path / "tiny" / "1" / "manifest.json").read_text())["classifier"][
        "fingerprint"
    ]
    assert options["trt_engine_cache_path"].endswith(f"-{fingerprint}")
    assert "trt_engine_cache_enable" in options
    assert {"trt_timing_cache_enable", "trt_timing_cache_path"} < set(options)
    assert not any("precision" in name or "fp16" in name for name in options)
    assert not (tmp_path / "tiny_bert" / "build_engine.sh").exists()


def test_manifest_has_the_hashes_of_script_and_profiles(tmp_path: Path) -> None:
    export_tiny(tmp_path)

    manifest = json.loads((tmp_path / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert {"tiny_bert/build_engine.sh", "tiny_bert/engine_profiles.txt"} < set(manifest["sha256"])
    assert (manifest["target"], manifest["precision"]) == ("tensorrt", "fp16")
    script = tmp_path / "tiny_bert" / "build_engine.sh"
    assert script.stat().st_mode & 0o111 == 0o111


def test_other_targets_have_none_of_it(tmp_path: Path) -> None:
    export_tiny(tmp_path, "cpu", precision="fp32")

    found = configs(tmp_path)
    assert "padded_lengths" not in found["tiny_tokenizer"].parameters
    assert not found["tiny_bert"].default_model_filename
    assert {"config.pbtxt", "labels.txt", "warmup", "1"} == {
        path.name for path in (tmp_path / "tiny_bert").iterdir()
    }


def test_layers_kept_out_of_int8_are_fp16(tmp_path: Path) -> None:
    kept = ["encoder.layer.0", "encoder.layer.1"]

    report = export_tiny(tmp_path, precision="int8", keep_fp32=kept)

    assert report.int8 is not None
    assert 0 < report.int8.max_difference < 0.05
    encodings = encode(read_checkpoint(THREE_LABELS), sample_texts()[:3])
    assert GraphSession(tmp_path / "tiny_bert" / "1" / "model.onnx").logits(encodings).shape == (3, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16", "gate": False}, "about int8"),
        ({"precision": "bf16"}, "precision 'bf16' for target tensorrt: expected one of fp16, int8, fp32"),
        ({"precision": "int8", "keep_fp32": ["encoder.layer.9"]}, "no such layer"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        export_tiny(tmp_path / "repository", **options)
