"""int8 graphs: close to fp32 or refused, and a text's logits are the same bits in any company."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertriton import contract
from bertriton_export import Int8GateError, OptionError, export
from bertriton_export.int8 import default_texts, judged
from bertriton_export.int8.gate import MAX_MEAN_DIFFERENCE, MIN_LABEL_AGREEMENT
from bertriton_export.int8.smoothing import InputRange, calibrated, smoothing_factors
from bertriton_export.network import WEIGHT_LEVELS, encoder_linears, quantise_weight, readers_of_one_input
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import (
    GraphSession,
    encode,
    packed_inputs,
    sample_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent.parent
EMBEDDED = ROOT / "checkpoints" / "imdb-minilm"
TEXTS = sample_texts()
# Of logits between -5 and 5, on average over texts: attention of a random network turns on tiny differences
# of scores, so that single texts move more than in a trained one.
RANDOM_NETWORK_TOLERANCE = 0.2


@pytest.fixture(scope="module")
def run(exported_imdb: Path) -> Callable[[list[Any]], Any]:
    """Logits of tokenised texts in one batch, with the kernels that serving uses."""
    file = exported_imdb / "imdb_bert" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda encodings: session.run(["logits"], packed_inputs(encodings))[0]


@pytest.fixture(scope="module")
def encodings() -> list[Any]:
    return encode(read_checkpoint(EMBEDDED), [*TEXTS, "", "a", " ".join(TEXTS)])


@pytest.fixture(scope="module")
def alone(run: Callable[[list[Any]], Any], encodings: list[Any]) -> Any:
    return np.concatenate([run([encoding]) for encoding in encodings])


@given(chosen=st.lists(st.integers(0, len(TEXTS) + 2), min_size=1, max_size=24))
@settings(max_examples=25, deadline=None)
def test_logits_are_bitwise_the_same_in_any_batch(
    run: Callable[[list[Any]], Any], encodings: list[Any], alone: Any, chosen: list[int]
) -> None:
    found = run([encodings[index] for index in chosen])

    np.testing.assert_array_equal(alone[chosen], found)


def test_a_text_of_several_windows_is_bitwise_the_same_in_any_batch(
    exported_imdb: Path, encodings: list[Any]
) -> None:
    session = onnxruntime.InferenceSession(exported_imdb / "imdb_bert" / "1" / "model.onnx")

    def run(chosen: list[Any], marks: dict[int, int]) -> Any:
        """Scores of texts, where `marks` makes some of the encodings further windows of the text before."""
        inputs = packed_inputs(chosen)
        starts = np.flatnonzero(inputs[contract.POSITION_IDS] == 0)
        for index, mark in marks.items():
            inputs[contract.POSITION_IDS][starts[index]] = mark
        firsts = [start for index, start in enumerate(starts) if index not in marks]
        widths = np.diff([*firsts, len(inputs[contract.POSITION_IDS])])
        shapes = np.array([[1, width] for width in widths], np.int32).reshape(-1)
        for name in (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS):
            inputs[name + contract.SHAPES_SUFFIX] = shapes
        return session.run([contract.LOGITS, contract.PROBABILITIES], inputs)

    mean, maximum = contract.NEXT_WINDOW_OF_MEAN, contract.NEXT_WINDOW_OF_MAXIMUM
    averaged, largest = encodings[:3], encodings[3:5]
    alone = [run(averaged, {1: mean, 2: mean}), run(largest, {1: maximum}), run(encodings[5:6], {})]

    together = run(encodings[:6], {1: mean, 2: mean, 4: maximum})

    for index, one in enumerate(zip(*alone, strict=True)):
        np.testing.assert_array_equal(np.concatenate(one), together[index])
    separate = run(encodings[:5], {})
    np.testing.assert_allclose(together[1][0], separate[1][:3].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(together[1][1], separate[1][3:].max(axis=0))


def test_default_export_is_int8_and_its_manifest_tells_how_close(exported_imdb: Path) -> None:
    manifest = json.loads((exported_imdb / "imdb" / "1" / "manifest.json").read_text(encoding="utf-8"))

    assert manifest["precision"] == "int8"
    assert manifest["int8"]["texts"] == len(default_texts().judging) >= 1000
    low, high = manifest["int8"]["label_agreement_interval"]
    assert MIN_LABEL_AGREEMENT <= low < manifest["int8"]["label_agreement"] < high
    assert manifest["int8"]["mean_difference"] <= MAX_MEAN_DIFFERENCE


@pytest.mark.parametrize(
    ("texts", "changed", "is_close"), [(1000, 11, True), (1000, 12, False), (300, 1, True), (216, 1, False)]
)
def test_few_texts_must_keep_more_labels_than_many(
    three_labels: Path, texts: int, changed: int, *, is_close: bool
) -> None:
    fp32 = np.tile(np.array([0.2, 0.501, 0.299], np.float32), (texts, 1))
    int8 = fp32.copy()
    int8[:changed] = [0.2, 0.299, 0.501]

    comparison = judged(read_checkpoint(three_labels), int8, fp32)

    assert comparison.label_agreement == 1 - changed / texts
    assert comparison.is_close == is_close


def test_an_int8_graph_asks_for_no_feature_of_a_cpu(exported_imdb: Path) -> None:
    config = (exported_imdb / "imdb_bert" / "config.pbtxt").read_text(encoding="utf-8")

    assert "cpu_feature" not in config
    assert "exact_on_any_cpu" in config


def test_every_linear_layer_of_the_encoder_but_one_is_int8(exported_imdb: Path) -> None:
    model = onnx.load(exported_imdb / "imdb_bert" / "1" / "model.onnx", load_external_data=False)

    multiplications = [node for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(multiplications) == len(encoder_linears(read_checkpoint(EMBEDDED).config)) - 1


def test_one_scale_for_all_tokens_is_where_layernorm_bounds_them(exported_imdb: Path) -> None:
    model = onnx.load(exported_imdb / "imdb_bert" / "1" / "model.onnx", load_external_data=False)

    # The last input, a bias, can only be added where no scale of each token is still to be multiplied with.
    whole = [node.name for node in model.graph.node if len(node.input) == 7]
    later_layers = range(1, read_checkpoint(EMBEDDED).config.num_hidden_layers)
    assert {name.rpartition("/")[0] for name in whole} == {
        f"/layer.{layer}/intermediate" for layer in later_layers
    }


def test_random_network_fails_the_gate_and_nothing_is_written(cased: Path, tmp_path: Path) -> None:
    with pytest.raises(
        Int8GateError, match=r"keep them with --keep-fp32, or export with --precision fp32"
    ) as caught:
        export(cased, repository=tmp_path / "repository")

    assert sorted(caught.value.layers) == ["encoder.layer.0", "encoder.layer.1"]
    assert list((tmp_path / "repository").iterdir()) == []


def test_layers_kept_in_fp32_open_the_gate(three_labels: Path, tmp_path: Path) -> None:
    kept = ["encoder.layer.0", "encoder.layer.1"]

    report = export(three_labels, name="tiny", repository=tmp_path, keep_fp32=kept)

    assert report.int8 is not None
    assert report.int8.max_difference == 0


@pytest.mark.parametrize(("name", "layers"), [("three-labels", 2), ("one-layer", 1)])
def test_the_first_of_several_layers_is_rounded_less(name: str, layers: int, tmp_path: Path) -> None:
    """Its errors pass through all others."""
    export(ROOT / "tests" / "data" / "checkpoints" / name, name="tiny", repository=tmp_path, gate=False)

    model = onnx.load(tmp_path / "tiny_bert" / "1" / "model.onnx", load_external_data=False)
    quantised = {node.name for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"}
    of_the_first = [node for node in quantised if "layer.0/output/" in node]
    assert (len(quantised), len(of_the_first)) == ((11, 0) if layers > 1 else (6, 1))


def test_one_linear_layer_can_be_kept(three_labels: Path, tmp_path: Path) -> None:
    kept = ["encoder.layer.0", "encoder.layer.1.output.dense", "bert.encoder.layer.1.intermediate"]

    export(three_labels, name="tiny", repository=tmp_path, keep_fp32=kept, gate=False)

    model = onnx.load(tmp_path / "tiny_bert" / "1" / "model.onnx", load_external_data=False)
    quantised = {node.name for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"}
    assert len(quantised) == 4
    assert all("layer.1/attention" in name for name in quantised)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_fp32": ["encoder.layer.7"]}, "'encoder.layer.7': no such layer"),
        ({"keep_fp32": ["encoder.lay"]}, "no such layer"),
        (
            {"precision": "fp32", "keep_fp32": ["encoder.layer.0"]},
            "about int8, and the precision is fp32",
        ),
        ({"precision": "fp32", "gate": False}, "about int8"),
        ({"validation_texts": ["a film"]}, "found 1 different ones, expected 375 at least"),
        ({"validation_texts": ["a film"] * 1000}, "found 1 different ones"),
        ({"precision": "int4"}, "expected one of int8, fp32"),
        ({"target": "tpu"}, "target 'tpu': expected one of cpu"),
    ],
)
def test_options_that_do_not_exist_or_fit_are_refused(
    three_labels: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        export(three_labels, name="tiny", repository=tmp_path, **options)


def test_random_networks_stay_within_the_stated_tolerance(three_labels: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(three_labels)
    tokenised = encode(checkpoint, TEXTS[:40])
    files = []
    for precision in ("fp32", "int8"):
        is_gated = precision != "int8"
        export(three_labels, name=precision, repository=tmp_path, precision=precision, gate=is_gated)
        files.append(tmp_path / f"{precision}_bert" / "1" / "model.onnx")

    fp32, int8 = (GraphSession(file).logits(tokenised) for file in files)

    assert 0 < np.abs(fp32 - int8).mean() < RANDOM_NETWORK_TOLERANCE


def test_quantised_weights_are_off_by_half_a_step_at_most() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    weight[2] = 0

    quantised = quantise_weight(weight)

    assert np.abs(quantised.values).max() == WEIGHT_LEVELS
    error = np.abs(quantised.values.T * quantised.scales[:, None] - weight)
    assert (error <= quantised.scales[:, None] * 0.5001).all()


@pytest.mark.parametrize("inputs", [1, 2, 3, 31, 384, 1536, 4095])
def test_every_cpu_multiplies_weights_exactly(inputs: int, tmp_path: Path) -> None:
    """Without `session.x64quantprecision`, which Triton's own backend cannot set."""
    random = np.random.default_rng(inputs)
    weight = random.normal(size=(6, inputs)).astype(np.float32)
    weight[2], weight[3], weight[4] = 0, 1, -1

    quantised = quantise_weight(weight, for_cpus=True)

    values = quantised.values.astype(np.int64)
    pairs = np.abs(np.add.reduceat(values, np.arange(0, inputs, 2), axis=0))
    assert pairs.max() <= 128
    error = np.abs(values.T * quantised.scales[:, None] - weight)
    assert (error <= quantised.scales[:, None] * 0.5001).all()
    activations = random.integers(200, 256, (5, inputs), np.uint8)
    activations[0] = 255
    np.testing.assert_array_equal(product(tmp_path, activations, quantised.values), activations @ values)


def product(folder: Path, activations: Any, weights: Any) -> Any:
    """What ONNX Runtime multiplies as it comes."""
    network = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17]>
        product (uint8[T, I] x) => (int32[T, O] y) { y = MatMulInteger (x, w) }"""
    )
    network.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(network, folder / "model.onnx")
    return onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"x": activations})[0]


def test_a_graph_answers_the_same_whether_told_to_multiply_exactly_or_not(
    run: Callable[[list[Any]], Any], encodings: list[Any], exported_imdb: Path
) -> None:
    told = onnxruntime.SessionOptions()
    told.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(exported_imdb / "imdb_bert" / "1" / "model.onnx", told)

    expected = session.run(["logits"], packed_inputs(encodings))[0]

    np.testing.assert_array_equal(run(encodings), expected)


def test_what_attention_reads_is_smoothed_most_among_layers_of_a_scale_a_token(three_labels: Path) -> None:
    name, *_ = encoder_linears(read_checkpoint(three_labels).config)
    output = name.replace("self.query", "output.dense")
    # Two samples of texts, in which the first channel runs 16 times as large as the others.
    high = np.ones((2, 4), np.float32)
    high[:, 0] = 16
    ranges = {name: InputRange(-high, high, 0 * high), output: InputRange(-high, high, 0 * high)}
    readers = (*readers_of_one_input(name), output)
    weights: Any = {f"{layer}.weight": np.ones((3, 4), np.float32) for layer in readers}

    options = calibrated(weights, ranges, (), is_shifted=False)

    found = {layer: factor[0] / factor[1] for layer, factor in options.smoothing.items()}
    assert found == {name: pytest.approx(16**0.9), output: pytest.approx(16**0.5)}


def test_query_key_and_value_share_their_smoothing(three_labels: Path) -> None:
    checkpoint = read_checkpoint(three_labels)
    linears = encoder_linears(checkpoint.config)
    sizes = {name: checkpoint.weights[f"{name}.weight"].shape[1] for name in linears}

    maxima = {name: np.ones(size, np.float32) for name, size in sizes.items()}
    factors = smoothing_factors(checkpoint.weights, maxima, dict.fromkeys(linears, 0.5))

    query, key, value = (
        factors[f"bert.encoder.layer.0.attention.self.{part}"] for part in ("query", "key", "value")
    )
    np.testing.assert_array_equal(query, key)
    np.testing.assert_array_equal(query, value)
