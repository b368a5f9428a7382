"""Export for CUDA: the file as it was written, run in numpy, and what Triton is told about it.

No test here needs a GPU. What only CUDA has a kernel for is in packed_reference.py.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from safetensors.numpy import save_file
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bertriton import contract
from bertriton_export import export
from bertriton_export.checkpoint import HEADS, tensor_shapes, with_head
from bertriton_export.network import GraphOptions, LoopAttention, write_bert_graph
from bertriton_export.network.graph_builder import CONTRIB_DOMAIN
from bertriton_export.reading import read_checkpoint
from bertriton_export.targets import PRECISION_TO_TOLERANCE
from bertriton_export.targets.cuda import PRECISIONS, cuda_options
from bertriton_export.verification import GraphSession, encode, packed_inputs, reference_logits, sample_texts

if TYPE_CHECKING:
    from bertriton_export.checkpoint import BertConfig, Checkpoint

ROOT = Path(__file__).parent.parent.parent.parent
EMBEDDED_CHECKPOINT = ROOT / "checkpoints" / "imdb-minilm"
TINY = ROOT / "tests" / "data"
TINY_CHECKPOINTS = sorted((*(TINY / "checkpoints").iterdir(), *(TINY / "architectures").iterdir()))
STANDARD_OPERATORS = {
    *(
        "Add",
        "And",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "CumSum",
        "Div",
        "Expand",
        "Gather",
        "Gemm",
        "GreaterOrEqual",
        "Identity",
        "If",
        "Less",
        "LessOrEqual",
    ),
    *("MatMul", "Max", "Min", "NonZero", "Not", "Range", "ReduceMax", "ReduceMin", "ReduceSum", "Reshape"),
    *("ScatterElements", "Shape", "Slice", "Softmax", "Squeeze", "Sub", "Tanh"),
}

every_precision = pytest.mark.parametrize("precision", PRECISIONS)
every_tiny_checkpoint = pytest.mark.parametrize(
    "folder", TINY_CHECKPOINTS, ids=[folder.name for folder in TINY_CHECKPOINTS]
)


def load_neighbour(name: str) -> Any:
    """A module beside this file, which pytest does not put on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shapes_of(widths: list[int]) -> dict[str, Any]:
    """What Triton tells the graph of rows of these widths."""
    shapes = np.array([[1, width] for width in widths], np.int32).reshape(-1)
    names = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
    return {name + contract.SHAPES_SUFFIX: shapes for name in names}


run_packed = load_neighbour("packed_reference").run_packed


def checkpoint_of(folder: Path) -> Checkpoint:
    return with_head(read_checkpoint(folder))


def network_file(repository: Path) -> Path:
    return repository / "tiny_bert" / "1" / "model.onnx"


def weights_of(onnx_file: Path) -> Path:
    (weights,) = onnx_file.parent.glob("*.onnx.data")
    return weights


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint for CUDA in fp16."""
    repository = tmp_path_factory.mktemp("cuda")
    export(EMBEDDED_CHECKPOINT, name="tiny", repository=repository, target="cuda")
    return repository


@every_tiny_checkpoint
@every_precision
def test_the_written_file_computes_what_the_reference_does(
    folder: Path, precision: str, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(folder)
    file = write_bert_graph(checkpoint, tmp_path, cuda_options(precision))
    encodings = encode(checkpoint, [*sample_texts()[:5], "a", *sample_texts()[5:8]])
    expected = reference_logits(checkpoint, encodings)

    logits, scores = run_packed(file, packed_inputs(encodings))

    np.testing.assert_allclose(logits, expected, rtol=0, atol=PRECISION_TO_TOLERANCE[precision])
    assert logits.dtype == scores.dtype == np.float32
    if checkpoint.problem_type == contract.SINGLE_LABEL:
        np.testing.assert_allclose(scores.sum(axis=-1), 1, rtol=0, atol=1e-6)
    if precision == "fp16":
        assert np.abs(logits - expected).max() > PRECISION_TO_TOLERANCE["fp32"]  # it is fp16 indeed


def test_the_written_file_of_the_embedded_checkpoint_does(embedded: Path) -> None:
    checkpoint = checkpoint_of(EMBEDDED_CHECKPOINT)
    encodings = encode(checkpoint, [" ".join(sample_texts()[:4]), *sample_texts()[4:7]])

    logits, _ = run_packed(network_file(embedded), packed_inputs(encodings))

    expected = reference_logits(checkpoint, encodings)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=PRECISION_TO_TOLERANCE["fp16"])


@every_precision
def test_windows_and_padding_are_as_in_the_graph_for_cpus(precision: str, tmp_path: Path) -> None:
    """Two windows averaged, a text of one window, two windows' maximum; padding between."""
    checkpoint = checkpoint_of(TINY / "checkpoints" / "three-labels")
    marks = [contract.NEXT_WINDOW_OF_MEAN, None, contract.NEXT_WINDOW_OF_MAXIMUM]
    positions = np.array([0, 1, 2, marks[0], 1, -1, -1, 0, 1, 2, 3, -1, 0, 1, marks[2], 1, 2], np.int32)
    inputs = {
        contract.INPUT_IDS: np.random.default_rng(0).integers(5, 300, len(positions)).astype(np.int32),
        contract.TOKEN_TYPE_IDS: np.zeros(len(positions), np.int32),
        contract.POSITION_IDS: positions,
        **shapes_of([7, 5, 5]),
    }
    (tmp_path / "cpu").mkdir()
    for_cpus = write_bert_graph(checkpoint, tmp_path / "cpu", GraphOptions())
    session = onnxruntime.InferenceSession(for_cpus, providers=["CPUExecutionProvider"])
    expected = session.run([contract.LOGITS, contract.PROBABILITIES], inputs)

    found = run_packed(write_bert_graph(checkpoint, tmp_path, cuda_options(precision)), inputs)

    assert expected[0].shape == (3, 3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=PRECISION_TO_TOLERANCE[precision])


def read_by(node: onnx.NodeProto) -> set[str]:
    """The values that a node reads, those of its branches included."""
    graphs = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {*node.input}.union(*(read_by(inner) for graph in graphs for inner in graph.node))


@pytest.fixture(scope="module")
def packing(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    """The written graph up to what its attention is told about windows, in ONNX Runtime."""
    folder = tmp_path_factory.mktemp("packing")
    file = write_bert_graph(checkpoint_of(TINY / "checkpoints" / "one-layer"), folder, cuda_options("fp16"))
    graph = onnx.load(file, load_external_data=False).graph
    (attention,) = (node for node in graph.node if node.op_type == "PackedMultiHeadAttention")
    wanted = list(attention.input[4:6])
    nodes: list[onnx.NodeProto] = []
    needed = set(wanted)
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= read_by(node)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    inputs = [value for value in graph.input if value.name in needed]
    shapes: tuple[list[str], list[str]] = (["windows", "longest"], ["bounds"])
    outputs = [
        onnx.helper.make_tensor_value_info(name, TensorProto.INT32, shape)
        for name, shape in zip(wanted, shapes, strict=True)
    ]
    cut = onnx.helper.make_graph(nodes, "packing", inputs, outputs, constants)
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(cut, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@given(
    rows=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=3), min_size=1, max_size=6),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_attention_is_told_where_tokens_and_padding_are(
    packing: onnxruntime.InferenceSession, rows: list[list[int]], data: st.DataObject
) -> None:
    marks = st.sampled_from([contract.NEXT_WINDOW_OF_MEAN, contract.NEXT_WINDOW_OF_MAXIMUM])
    positions: list[list[int]] = []
    for row in rows:
        starts = [0, *(data.draw(marks) for _ in row[1:])]
        windows = [[start, *range(1, length)] for start, length in zip(starts, row, strict=True)]
        padding = [contract.PADDING_POSITION] * data.draw(st.integers(0, 3))
        positions.append([*itertools.chain(*windows), *padding])
    lengths = [*itertools.chain(*rows)]
    together = np.array([*itertools.chain(*positions)], np.int32)
    tokens = {contract.POSITION_IDS: together} | dict.fromkeys(
        (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS), np.zeros_like(together)
    )

    offset, cumulative = packing.run(None, tokens | shapes_of([len(row) for row in positions]))

    np.testing.assert_array_equal(cumulative, np.cumsum([0, *lengths]))
    is_token = np.arange(max(lengths)) < np.array(lengths)[:, None]  # (W, S)
    expected = np.concatenate([np.flatnonzero(is_token), np.flatnonzero(~is_token)])
    np.testing.assert_array_equal(offset, expected.reshape(is_token.shape))


def test_a_written_file_is_valid_and_has_no_other_operators(embedded: Path) -> None:
    onnx.checker.check_model(network_file(embedded), full_check=True)
    config = checkpoint_of(EMBEDDED_CHECKPOINT).config
    nodes = onnx.load(network_file(embedded), load_external_data=False).graph.node

    contrib = [node.op_type for node in nodes if node.domain == CONTRIB_DOMAIN]
    assert {node.op_type for node in nodes if not node.domain} == STANDARD_OPERATORS
    assert {name: contrib.count(name) for name in contrib} == {
        "SkipLayerNormalization": 2 * config.num_hidden_layers + 1,
        "PackedMultiHeadAttention": config.num_hidden_layers,
        "BiasGelu": config.num_hidden_layers,
    }


def test_flash_attention_can_be_used(embedded: Path) -> None:
    """Queries, keys and values apart, no bias; the description of windows is computed once for all layers."""
    nodes = onnx.load(network_file(embedded), load_external_data=False).graph.node
    attentions = [node for node in nodes if node.op_type == "PackedMultiHeadAttention"]

    assert all(all(node.input[:3]) and not node.input[3] for node in attentions)
    assert len({tuple(node.input[4:]) for node in attentions}) == 1
    heads = checkpoint_of(EMBEDDED_CHECKPOINT).config.num_attention_heads
    assert all([attribute.i for attribute in node.attribute] == [heads] for node in attentions)


def test_fp16_is_the_encoder_and_not_the_head_and_all_of_it_finite(embedded: Path) -> None:
    for tensor in onnx.load(network_file(embedded)).graph.initializer:
        array = numpy_helper.to_array(tensor)
        is_refusal = array.shape == () and np.isnan(array)  # what the rows with a fault are scored
        assert is_refusal or np.isfinite(array).all(), tensor.name
        if tensor.name.startswith("bert."):
            is_head = tensor.name.startswith("bert.pooler.")
            assert array.dtype == (np.float32 if is_head else np.float16), tensor.name
        if tensor.name.startswith("classifier."):
            assert array.dtype == np.float32, tensor.name


@every_precision
def test_what_a_cpu_verifies_differs_from_what_is_written_in_attention_alone(
    precision: str, tmp_path: Path
) -> None:
    checkpoint = checkpoint_of(TINY / "checkpoints" / "three-labels")
    options = cuda_options(precision)
    twin = GraphOptions(attention=LoopAttention, dtype=options.dtype, is_fused=options.is_fused)
    files = []
    for name, how in (("written", options), ("twin", twin)):
        (tmp_path / name).mkdir()
        files.append(write_bert_graph(checkpoint, tmp_path / name, how))

    written, verified = (onnx.load(file, load_external_data=False).graph.node for file in files)

    def others(nodes: Any) -> list[tuple[str, ...]]:
        scopes = ("/packing/", "/one_window/", "/layer.0/attention/", "/layer.1/attention/")
        return [(node.op_type, node.name) for node in nodes if not node.name.startswith(scopes)]

    assert others(written) == others(verified)
    weights = [weights_of(file).read_bytes() for file in files]
    assert weights[0] == weights[1]
    encodings = encode(checkpoint, sample_texts()[:6])
    found, _ = run_packed(files[0], packed_inputs(encodings))
    expected = GraphSession(files[1]).logits(encodings)
    np.testing.assert_allclose(found, expected, rtol=0, atol=PRECISION_TO_TOLERANCE[precision])


def test_bert_base_is_exported_and_agrees(tmp_path: Path) -> None:
    """12 layers of 768, with a small vocabulary and the random weights that training starts from."""
    source = TINY / "checkpoints" / "one-layer"
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    sizes = {
        "num_hidden_layers": 12,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
    }
    document = json.loads((source / "config.json").read_text(encoding="utf-8")) | sizes
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    config = replace(checkpoint_of(source).config, **sizes)  # type: ignore[arg-type]
    save_file(random_weights(config), folder / "model.safetensors")

    report = export(folder, name="tiny", repository=tmp_path / "repository", target="cuda")

    assert report.precision == "fp16"
    assert 0 < report.verification.max_difference <= PRECISION_TO_TOLERANCE["fp16"]
    onnx.checker.check_model(network_file(tmp_path / "repository"), full_check=True)


def random_weights(config: BertConfig) -> dict[str, Any]:
    """As training starts from, in fp16."""
    random = np.random.default_rng(0)
    return {
        name: np.ones(shape, np.float16)
        if "LayerNorm.weight" in name
        else random.normal(0, 0.02, shape).astype(np.float16)
        for name, shape in tensor_shapes(config).items()
    }


def test_configs_are_triton_configs_for_a_gpu(embedded: Path) -> None:
    configs = {
        file.parent.name: text_format.Parse(file.read_text(encoding="utf-8"), ModelConfig())
        for file in embedded.glob("*/config.pbtxt")
    }

    assert set(configs) == {"tiny", "tiny_tokenizer", "tiny_bert"}
    assert configs["tiny_tokenizer"].instance_group[0].kind == ModelInstanceGroup.KIND_CPU
    bert = configs["tiny_bert"]
    assert bert.backend == "onnxruntime"
    assert [group.kind for group in bert.instance_group] == [ModelInstanceGroup.KIND_GPU]
    assert all(tensor.allow_ragged_batch for tensor in bert.input)
    parameters = {key: value.string_value for key, value in bert.parameters.items()}
    assert parameters.pop("bertriton.part_of") == "tiny"
    assert set(parameters) == {"gpu_mem_limit", "arena_extend_strategy", "enable_mem_pattern"}
    assert parameters["arena_extend_strategy"] == "1"
    assert parameters["enable_mem_pattern"] == "0"
    assert int(parameters["gpu_mem_limit"]) > weights_of(network_file(embedded)).stat().st_size
    (accelerator,) = bert.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert dict(accelerator.parameters) == {"enable_skip_layer_norm_strict_mode": "1", "use_tf32": "0"}
    assert list(bert.dynamic_batching.preferred_batch_size) == [bert.max_batch_size]
    # Any limit of a queue has Triton let requests wait for half a second; the tokenizer has the limits.
    assert not bert.dynamic_batching.HasField("default_queue_policy")
    tokenizer = configs["tiny_tokenizer"]
    assert not tokenizer.dynamic_batching.HasField("default_queue_policy")
    # What waits for it is in a batcher's queue, not in payloads of Triton's pool, one request a batch.
    assert list(tokenizer.dynamic_batching.preferred_batch_size) == [1]
    # And its first call is one of many requests.
    (warmup,) = tokenizer.model_warmup
    assert 32 < warmup.batch_size <= tokenizer.max_batch_size


def test_warm_up_begins_with_the_largest_batch(embedded: Path) -> None:
    folder = embedded / "tiny_bert"
    bert = text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())

    tokens = []
    for sample in bert.model_warmup:
        positions = sample.inputs[contract.POSITION_IDS]
        content = np.frombuffer((folder / "warmup" / positions.input_data_file).read_bytes(), "<i4")
        np.testing.assert_array_equal(content, np.arange(positions.dims[0]))
        tokens.append(sample.batch_size * positions.dims[0])

    assert tokens == [64 * 512, 16]


def test_every_head_is_among_the_tiny_checkpoints() -> None:
    assert {checkpoint_of(folder).problem_type for folder in TINY_CHECKPOINTS} == set(HEADS)
