"""What is read of long texts where a request does not say comes from the checkpoint, or is said at export."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import Truncation, contract
from bertriton._types import Aggregation
from bertriton_export import CheckpointError, OptionError, export
from bertriton_export.checkpoint import TruncationDefaults, with_truncation
from bertriton_export.reading import read_checkpoint
from bertriton_export.repository import fingerprint_for
from bertriton_export.targets import GraphRequest

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint

EMBEDDED = Path(__file__).parent.parent.parent.parent / "checkpoints" / "imdb-minilm"
IN_WINDOWS = {"truncation": "windows", "stride": 9, "aggregation": "max"}


def say(checkpoint: Path, section: Any) -> Path:
    """Have a checkpoint carry defaults of its own."""
    file = checkpoint / "config.json"
    document = json.loads(file.read_text(encoding="utf-8")) | {"bertriton": section}
    file.write_text(json.dumps(document))
    return checkpoint


def parameters_of(repository: Path, model: str) -> dict[str, str]:
    text = (repository / model / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, ModelConfig())
    return {key: value.string_value for key, value in config.parameters.items()}


def test_exporter_client_and_contract_know_the_same_ways() -> None:
    assert get_args(Truncation) == contract.TRUNCATIONS
    assert get_args(Aggregation) == contract.AGGREGATIONS


def test_the_embedded_model_is_read_as_it_was_trained() -> None:
    assert read_checkpoint(EMBEDDED).truncation == TruncationDefaults("head_tail", 0, "mean")


def test_a_checkpoint_that_says_nothing_is_read_from_its_start(one_layer: Path) -> None:
    assert read_checkpoint(one_layer).truncation == TruncationDefaults("head", 0, "mean")


def test_a_checkpoint_may_carry_its_defaults(one_layer: Path) -> None:
    checkpoint = read_checkpoint(say(one_layer, IN_WINDOWS))

    assert checkpoint.truncation == TruncationDefaults(**IN_WINDOWS)
    assert with_truncation(checkpoint, "tail").truncation == TruncationDefaults("tail", 9, "max")
    assert with_truncation(checkpoint, stride=0).truncation == TruncationDefaults("windows", 0, "max")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"truncation": "middle"}, "bertriton truncation: expected one of head, tail, head_tail, error, win"),
        ({"truncation": 3}, "truncation: expected a text, found 3"),
        ({"stride": -1}, "stride: expected a whole number from 0"),
        ({"stride": "9"}, "stride: expected a whole number from 0"),
        ({"aggregation": "median"}, "bertriton aggregation: expected one of mean, max, found 'median'"),
        (
            {"trunkation": "tail"},
            "bertriton: expected keys of truncation, stride, aggregation, found 'trunka",
        ),
        ("head_tail", "bertriton: expected an object"),
    ],
)
def test_a_checkpoint_that_says_it_wrong_is_refused(one_layer: Path, section: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_checkpoint(say(one_layer, section))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": "middle"}, "truncation 'middle': expected one of head, tail, head_tail, error, wind"),
        ({"aggregation": "sum"}, "aggregation 'sum': expected one of mean, max"),
        ({"stride": -1}, "stride -1: expected 0 to 63 tokens"),
        ({"stride": 64}, "stride 64: expected 0 to 63 tokens"),
    ],
)
def test_options_out_of_range_are_refused(one_layer: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        with_truncation(read_checkpoint(one_layer), **options)


def test_a_stride_of_the_checkpoint_that_is_too_wide_names_the_checkpoint(one_layer: Path) -> None:
    checkpoint = read_checkpoint(say(one_layer, {"stride": 64}))

    with pytest.raises(CheckpointError, match="one-layer: stride 64: expected 0 to 63 tokens"):
        with_truncation(checkpoint)


def test_the_export_tells_clients_and_the_tokenizer(one_layer: Path, tmp_path: Path) -> None:
    info = export(one_layer, name="a", repository=tmp_path, precision="fp32", **IN_WINDOWS).classifier

    assert (info.truncation, info.stride, info.aggregation) == ("windows", 9, "max")
    parameters = parameters_of(tmp_path, "a")
    assert contract.ClassifierInfo.from_parameters("a", 64, parameters) == info
    told = parameters_of(tmp_path, "a_tokenizer")
    assert (told["truncation"], told["stride"], told["aggregation"]) == ("windows", "9", "max")
    card = (tmp_path / "a" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Of a longer one all is read, in windows (`windows`)" in card


def test_an_export_of_before_is_read_from_the_start(one_layer: Path, tmp_path: Path) -> None:
    info = export(one_layer, name="a", repository=tmp_path, precision="fp32").classifier
    new = ("truncation", "stride", "aggregation")

    older = {key: value for key, value in info.to_parameters().items() if not key.endswith(new)}

    assert len(older) == len(info.to_parameters()) - len(new)
    assert contract.ClassifierInfo.from_parameters("a", 64, older) == info


def test_a_target_that_joins_no_windows_cannot_have_them_as_default(one_layer: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"truncation windows: the target is for .*TensorRT engine and joins"
    ):
        export(one_layer, repository=tmp_path / "models", target="tensorrt", truncation="windows")

    assert not list((tmp_path / "models").glob("*/config.pbtxt"))


def test_other_defaults_are_another_fingerprint(one_layer: Path) -> None:
    checkpoint = read_checkpoint(one_layer)

    def fingerprint(of: Checkpoint) -> str:
        return fingerprint_for(of, "cpu", GraphRequest("fp32"))

    changed = [with_truncation(checkpoint, **{name: value}) for name, value in IN_WINDOWS.items()]
    assert len({fingerprint(one) for one in (checkpoint, *changed)}) == 4
