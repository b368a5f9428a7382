"""Weights are recovered from ONNX exports, as PyTorch's two exporters write them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import quantize_dynamic

from bertriton_export import CheckpointError, ExportError, TensorError, UnsupportedModelError, export
from bertriton_export.checkpoint import ARCHITECTURES, GraphFacts, Weights, tensor_shapes
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.files.mapped_file import map_file
from bertriton_export.reading.onnx_file import OnnxClassifier
from bertriton_export.reading.safetensors_file import safetensors_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = Path(__file__).parent.parent.parent / "data" / "formats"
DISTILBERT = ARCHITECTURES["DistilBertForSequenceClassification"]
EXPORTS = ("gelu-traced-13.onnx", "gelu-traced-17.onnx", "gelu-exported-18.onnx")


@pytest.fixture
def gelu(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that the ONNX files were exported from."""
    return shutil.copytree(FORMATS / "gelu", tmp_path / "gelu")


def with_onnx_weights(folder: Path, model: Path | onnx.ModelProto) -> Path:
    (folder / "model.safetensors").unlink()
    if isinstance(model, Path):
        shutil.copyfile(model, folder / "model.onnx")
    else:
        onnx.save(model, folder / "model.onnx")
    return folder


@pytest.mark.parametrize("name", EXPORTS)
def test_weights_are_those_of_safetensors_bit_for_bit(gelu: Path, name: str) -> None:
    expected = read_checkpoint(FORMATS / "gelu")

    found = read_checkpoint(with_onnx_weights(gelu, FORMATS / name))

    assert found.source["format"] == "ONNX"
    for tensor in tensor_shapes(expected.config):
        np.testing.assert_array_equal(expected.weights[tensor], found.weights[tensor], tensor)


def test_weights_of_a_distilbert_are_read_too(architectures: Path) -> None:
    folder = architectures / "distilbert-single"
    expected = read_checkpoint(folder)
    (folder / "model.safetensors").rename(folder / "elsewhere")
    (folder / "onnx").mkdir()
    shutil.copyfile(FORMATS / "distilbert-traced-17.onnx", folder / "onnx" / "model.onnx")
    saved = Weights(
        expected.config, dict(safetensors_tensors(folder / "elsewhere")), folder, DISTILBERT.own_name
    )

    found = read_checkpoint(folder)

    assert found.source["format"] == "ONNX"
    for tensor in tensor_shapes(expected.config):
        np.testing.assert_array_equal(saved[tensor], found.weights[tensor], tensor)


@pytest.mark.parametrize("name", EXPORTS)
def test_graph_tells_heads_epsilon_and_activation(name: str) -> None:
    facts = OnnxClassifier(FORMATS / name, map_file(FORMATS / name)).facts()

    assert GraphFacts(4, facts.layer_norm_eps, "gelu") == facts
    assert 1e-12 == pytest.approx(facts.layer_norm_eps)


def test_onnx_folder_exports(gelu: Path, tmp_path: Path) -> None:
    with_onnx_weights(gelu, FORMATS / EXPORTS[0])

    report = export(gelu, name="tiny", repository=tmp_path / "repository", precision="fp32")

    assert report.verification.max_difference <= report.verification.tolerance


def test_weights_beside_the_graph_are_read(gelu: Path) -> None:
    expected = read_checkpoint(FORMATS / "gelu").weights["bert.pooler.dense.weight"]
    (gelu / "model.safetensors").unlink()
    model = onnx.load(FORMATS / EXPORTS[1])
    onnx.save(
        model, gelu / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=0
    )

    found = read_checkpoint(gelu)

    np.testing.assert_array_equal(expected, found.weights["bert.pooler.dense.weight"])
    (gelu / "model.onnx_data").write_bytes(b"short")
    with pytest.raises(TensorError, match=r"bytes in model\.onnx_data"):
        read_checkpoint(gelu)


def with_bias_outside(folder: Path, **entries: str) -> Path:
    """The folder with model.onnx, whose classifier's bias of 8 bytes is said to be in another file."""
    model = onnx.load(FORMATS / EXPORTS[1])
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.bias")
    (folder / "model.onnx_data").write_bytes(tensor.raw_data + bytes(8))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "missing", "", ".", "..", "model.onnx_data\0", "x" * 5000]
)
def test_weights_elsewhere_are_refused(gelu: Path, location: str) -> None:
    with pytest.raises(CheckpointError, match="which is not a file of the folder") as caught:
        read_checkpoint(with_bias_outside(gelu, location=location))

    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("length", ["0", "-1", "7", "9", "8.0", "x", "\uff18", "9" * 5000])
def test_weights_outside_of_another_length_are_refused(gelu: Path, length: str) -> None:
    with pytest.raises(
        TensorError, match=r"'classifier\.bias': expected a length of 8 bytes for shape \[2\]"
    ):
        read_checkpoint(with_bias_outside(gelu, location="model.onnx_data", length=length))


@pytest.mark.parametrize("offset", ["-4", "1e1", "\uff14", " 4", "0x4", "9" * 5000])
def test_weights_outside_at_no_place_are_refused(gelu: Path, offset: str) -> None:
    with pytest.raises(TensorError, match=r"'classifier\.bias': expected an offset"):
        read_checkpoint(with_bias_outside(gelu, location="model.onnx_data", offset=offset))


def test_weights_outside_are_read_from_where_they_are_said_to_be(gelu: Path) -> None:
    expected = read_checkpoint(FORMATS / "gelu").weights["classifier.bias"]

    found = read_checkpoint(with_bias_outside(gelu, location="model.onnx_data", offset="0", length="8"))

    np.testing.assert_array_equal(expected, found.weights["classifier.bias"])


def test_quantised_graphs_are_refused(gelu: Path, tmp_path: Path) -> None:
    quantize_dynamic(FORMATS / EXPORTS[1], tmp_path / "int8.onnx")

    with pytest.raises(UnsupportedModelError, match="is quantised"):
        read_checkpoint(with_onnx_weights(gelu, tmp_path / "int8.onnx"))


def test_fused_graphs_are_refused(gelu: Path) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    model.graph.node.add(op_type="SkipLayerNormalization", domain="com.microsoft")

    with pytest.raises(UnsupportedModelError, match=r"fused by an optimiser \(com\.microsoft\.SkipLayer"):
        read_checkpoint(with_onnx_weights(gelu, model))


def test_missing_weight_is_named(gelu: Path) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    product.input[1] = "elsewhere"

    with pytest.raises(TensorError, match=r"layer\.0\.attention\.self\.query\.weight.*no such tensor"):
        read_checkpoint(with_onnx_weights(gelu, model))


def twice_stored(graph: onnx.GraphProto) -> None:
    again = graph.initializer.add()
    again.CopyFrom(graph.initializer[0])
    again.raw_data = bytes(len(again.raw_data))


def stored_and_computed(graph: onnx.GraphProto) -> None:
    zeros = onnx.TensorProto(dims=[50, 16], data_type=1, raw_data=bytes(50 * 16 * 4))
    value = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=zeros)
    graph.node.add(op_type="Constant", output=[graph.initializer[0].name], attribute=[value])


def stored_and_passed_on(graph: onnx.GraphProto) -> None:
    first, second = (tensor.name for tensor in graph.initializer[:2])
    graph.node.add(op_type="Identity", input=[second], output=[first])


def computed_twice(graph: onnx.GraphProto) -> None:
    graph.node.add(op_type="Identity", input=[graph.input[0].name], output=graph.node[0].output)


def given_and_computed(graph: onnx.GraphProto) -> None:
    graph.input.add(name=graph.node[0].output[0])


def stored_twice_and_sparse(graph: onnx.GraphProto) -> None:
    graph.sparse_initializer.add(values=onnx.TensorProto(name=graph.initializer[0].name))


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize(
    "double",
    [
        *(twice_stored, stored_and_computed, stored_and_passed_on),
        *(computed_twice, given_and_computed, stored_twice_and_sparse),
    ],
)
def test_a_name_of_two_values_is_refused(
    gelu: Path, name: str, double: Callable[[onnx.GraphProto], None]
) -> None:
    """Of the two the last one was served without a word, be it zeros."""
    model = onnx.load(FORMATS / name)
    double(model.graph)

    with pytest.raises(CheckpointError, match=r"model\.onnx: the name '.*' stands for two values"):
        read_checkpoint(with_onnx_weights(gelu, model))


def test_a_weight_that_is_an_input_too_is_read(gelu: Path) -> None:
    """Before version 4 of the format every one had to be."""
    model = onnx.load(FORMATS / EXPORTS[0])
    for tensor in model.graph.initializer:
        model.graph.input.add(name=tensor.name)

    assert read_checkpoint(with_onnx_weights(gelu, model)).source["format"] == "ONNX"


def test_two_matrices_of_one_bias_are_refused(gelu: Path) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    bias = "bert.encoder.layer.0.attention.self.key.bias"
    other = next(node for node in model.graph.node if bias in node.input)
    other.input[list(other.input).index(bias)] = bias.replace("key", "query")

    with pytest.raises(TensorError, match=r"self\.query\.weight': expected one matrix before its bias"):
        read_checkpoint(with_onnx_weights(gelu, model))


def test_a_tensor_with_its_values_twice_is_refused(gelu: Path) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bert.pooler.dense.bias")
    bias.float_data[:] = [1.0] * 16

    with pytest.raises(TensorError, match=r"its values once, found float_data and raw_data"):
        read_checkpoint(with_onnx_weights(gelu, model))


def pooler_of(model: onnx.ModelProto) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    name = "bert.pooler.dense.weight"
    node = next(node for node in model.graph.node if name in node.input)
    return node, next(tensor for tensor in model.graph.initializer if tensor.name == name)


def test_a_weight_that_a_product_takes_as_it_lies_is_turned(gelu: Path) -> None:
    """It is square: read as it lies, it served other answers."""
    expected = read_checkpoint(FORMATS / "gelu").weights["bert.pooler.dense.weight"]
    model = onnx.load(FORMATS / EXPORTS[1])
    node, tensor = pooler_of(model)
    next(value for value in node.attribute if value.name == "transB").i = 0
    tensor.raw_data = np.ascontiguousarray(expected.T).tobytes()

    found = read_checkpoint(with_onnx_weights(gelu, model))

    np.testing.assert_array_equal(expected, found.weights["bert.pooler.dense.weight"])


@pytest.mark.parametrize("changes", [{"alpha": 2.0}, {"beta": 0.0}, {"transA": 1}])
def test_a_product_that_is_no_linear_layer_is_refused(gelu: Path, changes: dict[str, Any]) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    node, _ = pooler_of(model)
    kept = [value for value in node.attribute if value.name not in changes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(*change) for change in changes.items())])

    with pytest.raises(UnsupportedModelError, match="is scaled, or of a transposed input"):
        read_checkpoint(with_onnx_weights(gelu, model))


def test_a_place_outside_that_is_told_twice_is_refused(gelu: Path) -> None:
    folder = with_bias_outside(gelu, location="model.onnx_data", offset="8")
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.bias")
    tensor.external_data.add(key="offset", value="0")
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(TensorError, match=r"'classifier\.bias': expected one 'offset' of its place"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": [3, -1]}, "sizes from 1"),
        ({"dims": [50, 17]}, r"shape \[50, 17\]"),
        ({"data_type": onnx.TensorProto.INT64}, "found INT64"),
    ],
)
def test_lying_tensors_are_refused(gelu: Path, change: dict[str, Any], message: str) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    tensor = model.graph.initializer[0]
    tensor.ClearField("dims")
    tensor.MergeFrom(onnx.TensorProto(**({"dims": [50, 16]} | change)))

    with pytest.raises(TensorError, match=message):
        read_checkpoint(with_onnx_weights(gelu, model))


@pytest.mark.parametrize("dims", [[1] * 3000, [50, 16, *[0] * 3000]])
def test_messages_are_short_whatever_shapes_a_graph_has(gelu: Path, dims: list[int]) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    model.graph.initializer[0].dims[:] = dims

    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(with_onnx_weights(gelu, model)).weights["bert.pooler.dense.bias"]

    assert len(str(caught.value)) < len(str(gelu)) + 500


def test_tensor_with_too_few_values_is_refused(gelu: Path, tmp_path: Path) -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    model.graph.initializer[0].raw_data = bytes(8)

    with pytest.raises(CheckpointError, match="cannot be read"):
        export(with_onnx_weights(gelu, model), repository=tmp_path / "repository", precision="fp32")

    assert [] == list((tmp_path / "repository").iterdir())


def test_graph_that_tells_too_little_is_refused() -> None:
    model = onnx.load(FORMATS / EXPORTS[1])
    kept = [node for node in model.graph.node if node.op_type != "Erf"]
    del model.graph.node[:]
    model.graph.node.extend(kept)

    with pytest.raises(UnsupportedModelError, match="activation None"):
        OnnxClassifier(Path("x.onnx"), memoryview(model.SerializeToString())).facts()


def test_file_that_is_no_graph_is_refused(gelu: Path) -> None:
    with_onnx_weights(gelu, gelu / "config.json")

    with pytest.raises(CheckpointError, match="not a whole ONNX file"):
        read_checkpoint(gelu)


@given(position=st.floats(0, 1), value=st.integers(0, 255))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_makes_the_reader_fail_otherwise(position: float, value: int) -> None:
    content = bytearray((FORMATS / EXPORTS[0]).read_bytes())
    content[int(position * (len(content) - 1))] = value

    with suppress(ExportError):
        classifier = OnnxClassifier(Path("fuzzed"), memoryview(content))
        for tensor in classifier.tensors().values():
            assert tensor.load().size
        classifier.facts()
