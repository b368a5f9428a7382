"""Every model family answers what Transformers does, with rows that know nothing of each other.

The tiny checkpoints are rebuilt from what tests/data/families/ keeps of them; tests/golden/record_families.py
recorded the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import rebuilt_checkpoints
from tokenizers import Encoding, Tokenizer

from bertriton import contract
from bertriton_export import TensorError, export
from bertriton_export.checkpoint import Checkpoint, with_head
from bertriton_export.int8.graph import CPU_STATIC_LINEARS
from bertriton_export.int8.smoothing import calibrated, input_ranges
from bertriton_export.network import (
    GraphOptions,
    Int8Options,
    encoder_linears,
    write_bert_graph,
)
from bertriton_export.reading import read_checkpoint
from bertriton_export.verification import GraphSession, packed_inputs, reference_logits

if TYPE_CHECKING:
    from pathlib import Path

FP32_TOLERANCE = 1e-4
# Of the spread of the logits, on average; tests/export/checkpoint/test_architectures.py tells why so much.
INT8_TOLERANCE = 0.15

TOKENS = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
SHAPES = tuple(name + contract.SHAPES_SUFFIX for name in TOKENS)
UNREAD_TENSORS = ("bert.pooler.weight", "bert.pooler.bias")  # BigBird's classifier has a pooler of its own

every_family = pytest.mark.parametrize("name", rebuilt_checkpoints.names())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every checkpoint, rebuilt."""
    parent = tmp_path_factory.mktemp("families")
    return {
        name: rebuilt_checkpoints.rebuild(rebuilt_checkpoints.read(name), parent / name)
        for name in rebuilt_checkpoints.names()
    }


def answers_of(name: str) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = rebuilt_checkpoints.read(name)["answers"]
    return answers


def logits_of(name: str) -> Any:
    return np.array([answer["logits"] for answer in answers_of(name)])


def encodings_of(name: str, checkpoint: Checkpoint) -> list[Encoding]:
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_json)
    tokenizer.enable_truncation(checkpoint.max_length)
    texts = [answer["text"] for answer in answers_of(name)]
    return tokenizer.encode_batch([text if isinstance(text, str) else tuple(text) for text in texts])


@every_family
def test_tokens_are_those_of_transformers(name: str, folders: dict[str, Path]) -> None:
    found = encodings_of(name, read_checkpoint(folders[name]))

    assert [answer["input_ids"] for answer in answers_of(name)] == [encoding.ids for encoding in found]


@every_family
def test_reference_logits_are_those_of_transformers(name: str, folders: dict[str, Path]) -> None:
    checkpoint = read_checkpoint(folders[name])

    found = reference_logits(checkpoint, encodings_of(name, checkpoint))

    np.testing.assert_allclose(found, logits_of(name), rtol=0, atol=FP32_TOLERANCE)


@every_family
def test_fp32_logits_are_those_of_transformers(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    export(folders[name], name="tiny", repository=tmp_path, precision="fp32")

    graph = GraphSession(tmp_path / "tiny_bert" / "1" / "model.onnx")

    found = graph.logits(encodings_of(name, read_checkpoint(folders[name])))
    np.testing.assert_allclose(found, logits_of(name), rtol=0, atol=FP32_TOLERANCE)


@every_family
def test_int8_logits_are_near_those_of_transformers(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = with_head(read_checkpoint(folders[name]))
    texts = encodings_of(name, checkpoint)
    (tmp_path / "fp32").mkdir()
    fp32 = write_bert_graph(checkpoint, tmp_path / "fp32", GraphOptions())
    ranges = input_ranges(fp32, encoder_linears(checkpoint.config), texts)
    static = [name for name in ranges if name.endswith(CPU_STATIC_LINEARS)]
    options = calibrated(checkpoint.weights, ranges, static, is_shifted=True)

    int8 = write_bert_graph(checkpoint, tmp_path, GraphOptions(options))

    expected = logits_of(name)
    differences = np.abs(GraphSession(int8).logits(texts) - expected) / expected.std(axis=0)
    assert 0 < differences.mean() < INT8_TOLERANCE


@every_family
@pytest.mark.parametrize("int8", [None, Int8Options()], ids=["fp32", "int8"])
def test_logits_are_bitwise_the_same_alone_and_together(
    name: str, int8: Int8Options | None, folders: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint = with_head(read_checkpoint(folders[name]))
    file = write_bert_graph(checkpoint, tmp_path, GraphOptions(int8))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    texts = encodings_of(name, checkpoint)

    alone = np.concatenate([session.run(["logits"], packed_inputs([text]))[0] for text in texts])

    together, reverse = (
        session.run(["logits"], packed_inputs(order))[0] for order in (texts, [*reversed(texts)])
    )
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(alone, reverse[::-1])


@every_family
def test_a_missing_tensor_is_called_what_its_checkpoint_calls_it(name: str, tmp_path: Path) -> None:
    document = rebuilt_checkpoints.read(name)
    tensors = document["tensors"]
    for index, missing in enumerate(tensors):
        if missing in UNREAD_TENSORS:
            continue
        document["tensors"] = {key: shape for key, shape in tensors.items() if key != missing}
        folder = rebuilt_checkpoints.rebuild(document, tmp_path / str(index))

        with pytest.raises(TensorError) as caught:
            read_checkpoint(folder)

        assert missing == caught.value.tensor or missing.startswith("classifier.")


def test_tokens_out_of_reach_change_nothing_in_local_attention(tmp_path: Path) -> None:
    """Each layer reaches 64 tokens further: of two the first token knows nothing of what is behind 128."""
    document = rebuilt_checkpoints.read("modernbert-single")
    document["config"] |= {
        "max_position_embeddings": 2048,
        "local_attention": 128,
        "num_hidden_layers": 2,
        "layer_types": ["sliding_attention"] * 2,
    }
    unused = ("model.layers.2.", "model.layers.3.")
    tensors = document["tensors"]
    document["tensors"] = {name: tensors[name] for name in tensors if not name.startswith(unused)}
    checkpoint = with_head(read_checkpoint(rebuilt_checkpoints.rebuild(document, tmp_path / "local")))
    file = write_bert_graph(checkpoint, tmp_path, GraphOptions())
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(0).integers(5, 400, 2000).astype(np.int32)

    def logits(ids: Any) -> Any:
        inputs = {name: np.array([1, len(ids)], np.int32) for name in SHAPES}
        tokens = [ids, np.zeros_like(ids), np.arange(len(ids), dtype=np.int32)]
        return session.run(["logits"], inputs | dict(zip(TOKENS, tokens, strict=True)))[0]

    whole = logits(ids)
    near, far = (np.where(np.arange(2000) == place, 4, ids).astype(np.int32) for place in (128, 129))

    np.testing.assert_array_equal(whole, logits(far))
    np.testing.assert_allclose(whole, logits(ids[:300]), rtol=0, atol=1e-5)
    assert (whole != logits(near)).any()
