"""The graph for TensorRT: plain operators, padding that changes nothing, and logits of the reference."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

from bertriton import contract
from bertriton_export import UnsupportedModelError
from bertriton_export.checkpoint import BertConfig, LazyTensor, Weights, tensor_shapes, with_head
from bertriton_export.int8 import ALL_LINEARS, Int8Kind, Int8Request, Int8Texts, write_int8_graph
from bertriton_export.network import GraphOptions
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets.cuda import FP16_TOLERANCE
from bertriton_export.targets.tensorrt.families import write_tensorrt_graph
from bertriton_export.targets.tensorrt.operators import require_supported_by_tensorrt, supported_operators
from bertriton_export.verification import (
    FP32_TOLERANCE,
    GraphSession,
    encode,
    reference_logits,
    sample_texts,
    verify,
)
from bertriton_export.verification.session import padded_inputs

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import Float

ROOT = Path(__file__).parent.parent.parent.parent
ARCHITECTURES = ROOT / "tests" / "data" / "architectures"
THREE_LABELS = ROOT / "tests" / "data" / "checkpoints" / "three-labels"
EMBEDDED = ROOT / "checkpoints" / "imdb-minilm"
PRECISIONS = [(np.float32, FP32_TOLERANCE), (np.float16, FP16_TOLERANCE)]
CLOSE = 1e-5  # of logits of one graph in fp32
PAIRS = [("a film", "of which nobody knows"), ("", "nothing before"), ("long " * 60, "short")]

every_precision = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["fp32", "fp16"])
every_checkpoint = pytest.mark.parametrize("name", sorted(path.name for path in ARCHITECTURES.iterdir()))


def write(checkpoint: Checkpoint, folder: Path, dtype: Float) -> Path:
    return write_tensorrt_graph(checkpoint, folder, GraphOptions(dtype=dtype))


@pytest.fixture(scope="module")
def fp32_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(with_head(read_checkpoint(THREE_LABELS)), tmp_path_factory.mktemp("graph"), np.float32)


@pytest.fixture(scope="module")
def session(fp32_file: Path) -> InferenceSession:
    return InferenceSession(fp32_file, providers=["CPUExecutionProvider"])


def bert_base() -> Checkpoint:
    """Random weights of BERT-base's shape with few words, and the tokenizer of a tiny checkpoint."""
    tiny = with_head(read_checkpoint(THREE_LABELS))
    config = BertConfig(
        vocab_size=tiny.config.vocab_size,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=64,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        activation="gelu",
        num_labels=len(tiny.labels),
    )
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in tensor_shapes(config).items():
        array = random.normal(size=shape, scale=0.05).astype(np.float32)
        if name.endswith("LayerNorm.weight"):
            array += 1
        tensors[name] = LazyTensor(tiny.path, shape, "F32", lambda array=array: array)  # type: ignore[misc]
    weights = Weights(config, tensors, tiny.path)
    return replace(tiny, config=config, weights=weights, max_length=64)


@every_precision
@every_checkpoint
def test_logits_are_those_of_the_reference(name: str, dtype: Float, tolerance: float, tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(ARCHITECTURES / name))
    file = write(checkpoint, tmp_path, dtype)

    assert 0 < verify(checkpoint, file, tolerance).max_difference

    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    pairs = tokenizer.encode_batch(PAIRS)
    expected = reference_logits(checkpoint, pairs)
    np.testing.assert_allclose(GraphSession(file).logits(pairs), expected, rtol=0, atol=tolerance)


@every_precision
def test_embedded_checkpoint_is_held_to_the_reference(dtype: Float, tolerance: float, tmp_path: Path) -> None:
    checkpoint = with_head(read_checkpoint(EMBEDDED))

    assert verify(checkpoint, write(checkpoint, tmp_path, dtype), tolerance).max_difference <= tolerance


def test_fp16_of_bert_base_s_shape_stays_within_its_tolerance(tmp_path: Path) -> None:
    checkpoint = bert_base()

    found = verify(checkpoint, write(checkpoint, tmp_path, np.float16), FP16_TOLERANCE)

    assert 0 < found.max_difference <= FP16_TOLERANCE


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_file_is_valid_and_its_types_are_inferred_strictly(dtype: Float, tmp_path: Path) -> None:
    file = write(with_head(read_checkpoint(ARCHITECTURES / "roberta-single")), tmp_path, dtype)

    onnx.checker.check_model(file, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(file), strict_mode=True, data_prop=True)

    values = {value.name: value.type.tensor_type for value in inferred.graph.value_info}
    dot_products = [
        node for node in inferred.graph.node if node.op_type == "Softmax" and "/layer." in node.name
    ]
    expected = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    assert {expected} == {values[node.output[0]].elem_type for node in dot_products}
    norms = [node for node in inferred.graph.node if node.op_type == "LayerNormalization"]
    assert {TensorProto.FLOAT} == {values[node.output[0]].elem_type for node in norms}
    assert [("", 17)] == [(opset.domain, opset.version) for opset in inferred.opset_import]


def test_inputs_and_outputs_are_those_of_the_contract(fp32_file: Path) -> None:
    graph = onnx.load(fp32_file, load_external_data=False).graph

    inputs = {value.name: value.type.tensor_type for value in graph.input}
    assert {contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS} == set(inputs)
    for tensor in inputs.values():
        assert tensor.elem_type == TensorProto.INT32
        assert [size.dim_param for size in tensor.shape.dim] == ["rows", "tokens"]
    outputs = {
        value.name: (value.type.tensor_type.elem_type, value.type.tensor_type.shape.dim[1].dim_value)
        for value in graph.output
    }
    scores = dict.fromkeys((contract.LOGITS, contract.PROBABILITIES), (TensorProto.FLOAT, 3))
    assert outputs == scores | {contract.FINGERPRINT: (TensorProto.INT32, 2)}


def test_every_row_carries_the_fingerprint(tmp_path: Path) -> None:
    options = GraphOptions(fingerprint="00f1a2b3fffffffe")
    file = write_tensorrt_graph(with_head(read_checkpoint(THREE_LABELS)), tmp_path, options)
    session = InferenceSession(file, providers=["CPUExecutionProvider"])

    (found,) = session.run([contract.FINGERPRINT], padded([[1, 2, 3], [9]], 4, 0))

    assert [contract.fingerprint_of(words) for words in found.tolist()] == ["00f1a2b3fffffffe"] * 2


@every_checkpoint
def test_every_input_is_read(name: str, tmp_path: Path) -> None:
    """TensorRT takes an input that nothing reads out of the engine, and Triton then misses it."""
    file = write(with_head(read_checkpoint(ARCHITECTURES / name)), tmp_path, np.float16)

    graph = onnx.load(file, load_external_data=False).graph
    read = {value for node in graph.node for value in node.input}
    assert {value.name for value in graph.input} <= read


texts_of_ids = st.lists(st.lists(st.integers(0, 299), min_size=1, max_size=40), min_size=1, max_size=6)


def padded(texts: list[list[int]], tokens: int, junk: int) -> dict[str, Any]:
    """Rows of so many tokens; what stands in padding is `junk`."""
    ids = np.full((len(texts), tokens), junk, np.int32)
    types = np.zeros_like(ids)
    positions = np.full_like(ids, contract.PADDING_POSITION)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        positions[row, : len(text)] = range(len(text))
    return {contract.INPUT_IDS: ids, contract.TOKEN_TYPE_IDS: types, contract.POSITION_IDS: positions}


@given(texts=texts_of_ids, extra=st.integers(0, 24), junk=st.integers(0, 299))
@settings(max_examples=30, deadline=None)
def test_neither_padding_nor_what_stands_in_it_nor_other_rows_change_an_answer(
    session: InferenceSession, texts: list[list[int]], extra: int, junk: int
) -> None:
    alone = np.concatenate([session.run(None, padded([text], len(text), 0))[0] for text in texts])

    together = session.run(None, padded(texts, max(map(len, texts)) + extra, junk))[0]

    np.testing.assert_allclose(together, alone, rtol=0, atol=CLOSE)


def test_token_types_matter(session: InferenceSession) -> None:
    inputs = padded([[1, 2, 3, 4]], 6, 0)
    first = session.run(None, inputs)[0]
    inputs[contract.TOKEN_TYPE_IDS][0, 2:4] = 1

    assert np.abs(session.run(None, inputs)[0] - first).max() > CLOSE


def test_weights_beyond_fp16_are_refused_by_name(tmp_path: Path) -> None:
    tiny = with_head(read_checkpoint(THREE_LABELS))
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    tensors = {
        key: LazyTensor(
            tiny.path, shape, "F32", lambda key=key: tiny.weights[key] * (1e7 if key == name else 1)
        )  # type: ignore[misc]
        for key, shape in tensor_shapes(tiny.config).items()
    }
    checkpoint = replace(tiny, weights=Weights(tiny.config, tensors, tiny.path))

    with pytest.raises(UnsupportedModelError, match=rf"{name}.*export with --precision fp32"):
        write(checkpoint, tmp_path, np.float16)


def test_operators_that_tensorrt_does_not_read_are_refused_by_node(tmp_path: Path) -> None:
    assert len(supported_operators()) > 100
    value = helper.make_tensor_value_info("x", TensorProto.INT32, [None, 4])
    for operator, domain, message in (
        ("CumSum", "", "'/odd': TensorRT's ONNX parser reads CumSum of BF16, FP16, FP32, not of INT32"),
        ("NonZero", "com.microsoft", "reads no operator com.microsoft.NonZero"),
        ("Compress", "", "reads no operator Compress"),
    ):
        node = helper.make_node(operator, ["x", "axis"], ["y"], name="/odd", domain=domain)
        axis = onnx.numpy_helper.from_array(np.array(1), "axis")
        graph = helper.make_graph([node], "odd", [value], [], [axis])
        file = tmp_path / "odd.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)

        with pytest.raises(UnsupportedModelError, match=message):
            require_supported_by_tensorrt(file)


@pytest.mark.parametrize("name", ["bert-multi", "roberta-single", "electra-regression"])
def test_fp16_with_every_value_rounded_stays_within_its_tolerance(name: str, tmp_path: Path) -> None:
    """ONNX Runtime's CPU keeps fp32 between some operators, ONNX's own evaluator rounds every result."""
    checkpoint = with_head(read_checkpoint(ARCHITECTURES / name))
    evaluator = ReferenceEvaluator(os.fspath(write(checkpoint, tmp_path, np.float16)))
    encodings = encode(checkpoint, [sample_texts()[0], "a film"])

    found = evaluator.run([contract.LOGITS], padded_inputs(encodings))[0]

    expected = reference_logits(checkpoint, encodings)
    np.testing.assert_allclose(found, expected, rtol=0, atol=FP16_TOLERANCE)


def write_int8(checkpoint: Checkpoint, folder: Path, texts: tuple[str, ...]) -> Path:
    """An int8 graph whose layers are all int8, calibrated by texts; nobody judges it."""

    def write_fp16(checkpoint: Checkpoint, folder: Path, options: GraphOptions) -> Path:
        return write_tensorrt_graph(checkpoint, folder, replace(options, dtype=np.float16))

    kind = Int8Kind(write_fp16, ALL_LINEARS, min_static_tokens=0, is_shifted=False, spares_first_layer=False)
    write_int8_graph(checkpoint, folder, Int8Request(Int8Texts(texts, ())), lambda _: None, kind)
    return folder / "model.onnx"


def test_int8_pairs_of_q_and_dq_stand_where_tensorrt_fuses_them(tmp_path: Path) -> None:
    """Both factors of a product come straight out of DequantizeLinear, weights with a scale a channel."""
    file = write_int8(with_head(read_checkpoint(THREE_LABELS)), tmp_path, ("a film",))
    onnx.checker.check_model(file, full_check=True)
    graph = onnx.load(file, load_external_data=False).graph
    node_of = {output: node for node in graph.node for output in node.output}
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}

    products = [node for node in graph.node if node.op_type == "MatMul"]
    quantised = [node for node in products if node.input[1] in node_of and "Dequantize" in node.input[1]]
    assert len(quantised) == 12
    for node in quantised:
        tokens, weights = (node_of[factor] for factor in node.input)
        assert tokens.op_type == weights.op_type == "DequantizeLinear"
        assert node_of[tokens.input[0]].op_type == "QuantizeLinear"
        assert node_of[tokens.input[0]].input[1:] == tokens.input[1:]
        assert shapes[tokens.input[1]] == []
        assert types[tokens.input[2]] == types[weights.input[0]] == TensorProto.INT8
        assert shapes[weights.input[1]] == shapes[weights.input[0]][1:]
        assert types[weights.input[1]] == types[tokens.input[1]] == TensorProto.FLOAT16


def test_int8_scales_do_not_depend_on_the_other_texts(tmp_path: Path) -> None:
    """What fp16 rounds otherwise in another batch may turn to another int8 level, no more than that."""
    checkpoint = with_head(read_checkpoint(THREE_LABELS))
    file = write_int8(checkpoint, tmp_path, ("a film",))
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    encodings = encode(checkpoint, sample_texts()[:12])

    together = session.run(["logits"], padded_inputs(encodings))[0]

    alone = np.concatenate([session.run(["logits"], padded_inputs([one]))[0] for one in encodings])
    assert np.abs(together - alone).mean() < FP16_TOLERANCE


@pytest.mark.parametrize("value", [-(2**31), -7, 512, 2**31 - 1])
def test_numbers_beyond_a_table_change_no_other_row(session: InferenceSession, value: int) -> None:
    expected = session.run(None, padded([[1, 2, 3]], 4, 0))[0]
    for name in (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS):
        inputs = padded([[4, 5, 6, 7], [1, 2, 3]], 4, 0)
        inputs[name][0, 1] = value

        found = session.run(None, inputs)[0]

        np.testing.assert_allclose(found[1:], expected, rtol=0, atol=CLOSE)
